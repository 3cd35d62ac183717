"""How a process that computes jobs uses its cores and its GPU."""

import os

WORKSPACE = ":4096:8"  # with it, cuBLAS takes the same kernels in the same order at every call


def set_up(device: str, threads: int, deterministic: bool = True, index: int = 0) -> None:
    """Set up this process, before its first tensor, to compute on `device` ("cpu" or "cuda") with `threads` threads.

    On CUDA, worker number `index` takes the machine's GPUs in turn. There `deterministic` chooses kernels that give
    the same result at every call (torch warns of an operation that has none); without it the fastest ones are
    tried out. The CPU's kernels are not changed. Layout and TF32 stay as torch has them.
    """
    if device == "cuda" and deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = WORKSPACE  # cuBLAS reads it when it starts, and never again
    import torch

    torch.set_num_threads(threads)
    if device != "cuda":
        return
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic
    torch.cuda.set_device(index % max(1, torch.cuda.device_count()))  # with none, torch says why
