// What accuracy can be drawn over.

const AXES = {
  share: { name: (state) => `share of ${DATA.labels.cost[state.cost]}`, value: (row) => row.complexity, format: ".3~%" },
  params: { name: () => "parameters", value: (row) => row.params, format: "~s" },
  macs: { name: () => "MACs per image", value: (row) => row.macs, format: "~s" },
  compute: { name: () => "total compute, FLOP", value: total, format: "~s" },
};
