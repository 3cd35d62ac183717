"""PyTorch's operators by what they do to the elements of a tensor, as far as the tracer knows them."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# They move elements, or repeat or drop them.
MOVES = _names("""
    alias as_strided cat clone constant_pad_nd contiguous detach diagonal embedding expand flip gather index
    index_select lift_fresh permute pixel_shuffle pixel_unshuffle repeat repeat_interleave reshape roll rot90 select
    slice split split_with_sizes squeeze stack t tile transpose unbind unfold unsqueeze view view_as _to_copy
    _unsafe_view _reshape_alias _unsafe_index unsafe_split unsafe_chunk chunk narrow slice_copy channel_shuffle
    native_channel_shuffle reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d im2col split_copy
    split_with_sizes_copy unbind_copy expand_copy permute_copy view_copy
""")
# Of these, the ones that have no form for integers.
FLOATING = _names("reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d im2col")
# Of these, the ones that cut at a position, which moves when channels before it go.
CUTS = _names(
    "split split_with_sizes unsafe_split chunk unsafe_chunk unbind slice select narrow index index_select roll"
)
FACTORIES = _names("empty zeros ones full new_zeros new_empty new_ones new_full empty_like zeros_like")
# Element by element, though PyTorch does not tag them so.
POINTWISE = _names("""
    hardswish hardsigmoid hardtanh leaky_relu elu celu selu mish softplus log_sigmoid _prelu_kernel prelu
""")
REDUCTIONS = _names("""
    mean sum amax amin max min var std prod logsumexp linalg_vector_norm norm var_mean std_mean aminmax all any
""")
ALONG = _names("_softmax softmax _safe_softmax _log_softmax cumsum sort argsort topk")
BATCH_NORMS = _names("""
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_no_update
    cudnn_batch_norm miopen_batch_norm batch_norm
""")
LAYER_NORMS = _names("native_layer_norm _fused_rms_norm rms_norm")
# What reads a tensor's shape says nothing about channels.
SILENT = _names("""
    sym_size sym_stride sym_numel is_same_size size stride numel dim equal item _local_scalar_dense
""")
PRODUCTS = _names("mm addmm bmm baddbmm mv addmv dot convolution")
_SPATIAL = ("avg_pool", "max_pool", "upsample_", "grid_sampler")


def spatial_dims(name: str) -> int:
    """Return over how many last dimensions an operator pools or interpolates, 0 if it does neither."""
    bare = name.lstrip("_").removeprefix("adaptive_")
    if not bare.startswith(_SPATIAL):
        return 0
    return next((count for count in (1, 2, 3) if f"{count}d" in bare), 2)
