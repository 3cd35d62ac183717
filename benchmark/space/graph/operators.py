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
# They multiply nothing that is counted: they move or compare numbers, scale single ones, or draw them.
FREE = (
    MOVES
    | FACTORIES
    | POINTWISE
    | REDUCTIONS
    | ALONG
    | BATCH_NORMS
    | LAYER_NORMS
    | SILENT
    | _names("""
    native_group_norm _weight_norm_interface native_dropout view_as_complex view_as_real complex conj _conj argmax
    argmin nonzero masked_select masked_scatter index_put _index_put_impl index_add index_copy scatter scatter_add
    scatter_reduce tril triu cumprod cummax cummin bernoulli multinomial randn_like rand_like normal uniform fill zero
    one_hot bucketize searchsorted unique _unique2 histc bincount _embedding_bag resize set diag_embed msort kthvalue
    median mode take take_along_dim lift empty_strided new_empty_strided count_nonzero trace _assert_async
    _fake_quantize_learnable_per_tensor_affine fake_quantize_per_tensor_affine_cachemask
    fake_quantize_per_channel_affine_cachemask _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
    """)
)
_SPATIAL = ("avg_pool", "max_pool", "upsample_", "grid_sampler")


def spatial_dims(name: str) -> int:
    """Return over how many last dimensions an operator pools or interpolates, 0 if it does neither."""
    bare = name.lstrip("_").removeprefix("adaptive_")
    if not bare.startswith(_SPATIAL):
        return 0
    return next((count for count in (1, 2, 3) if f"{count}d" in bare), 2)
