"""Which networks the zoo holds: every classifier of torchvision, one network for each architecture family of timm."""

from dataclasses import dataclass

from benchmark import models
from benchmark.config.params import ModelRef
from benchmark.errors import unknown

LIBRARIES = ("torchvision", "timm")
# Per family the network with the fewest parameters that people use (timm's `test_` networks are toys), but where a
# comment says otherwise. A family that is not here, of a newer timm, is served by `_smallest`.
FAMILIES = {
    "beit": "beit_base_patch16_224",
    "byoanet": "eca_botnext26ts_256",
    "byobnet": "gernet_s",  # mobileone_s1 is smaller, but a network to be rewritten before it is used
    "cait": "cait_xxs24_224",
    "coat": "coat_lite_tiny",  # coat_tiny is a little smaller, and so are its hidden layers
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "convnext_atto",  # the zepto ones have no layer norm
    "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46_c",  # dla46x_c is smaller, by its grouped convolutions
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "efficientnet_lite0",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "eva02_tiny_patch14_224",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "mambaout_femto",
    "maxxvit": "maxvit_pico_rw_256",
    "metaformer": "poolformer_s12",
    "mlp_mixer": "mixer_s32_224",  # the family's name; gMLP and ResMLP are smaller relatives
    "mobilenetv3": "mobilenetv3_small_050",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "nf_resnet26",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2net50_26w_4s",
    "resnest": "resnest14d",
    "resnet": "resnet18",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "vit_tiny_patch16_224",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "vit_relpos_small_patch16_224",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41",
    "xcit": "xcit_nano_12_p16_224",
}
# More than 150 million parameters: several GB while they are checked, so never two of them at a time.
LARGE = frozenset(
    {
        "torchvision:convnext_large",
        "torchvision:regnet_y_128gf",
        "torchvision:vit_h_14",
        "torchvision:vit_l_16",
        "torchvision:vit_l_32",
        "timm:deepseek_vit_412m",
        "timm:gemma4_vit_167m",
    }
)


@dataclass(frozen=True)
class Entry:
    """A network of the zoo: its name with the library's prefix, and its family there."""

    name: str
    family: str

    @property
    def large(self) -> bool:
        """Return whether it needs so much memory that only one such network is checked at a time."""
        return self.name in LARGE


def zoo(library: str | None = None) -> list[Entry]:
    """Return the networks of a library, or of both; `BenchError` for another library."""
    if library is not None and library not in LIBRARIES:
        raise unknown("library", library, LIBRARIES, "--library")
    entries: list[Entry] = []
    if library in (None, "torchvision"):
        entries += [_torchvision(name.partition(":")[2]) for name in models.model_names("torchvision")]
    if library in (None, "timm"):
        import timm

        entries += [Entry(f"timm:{FAMILIES.get(name) or _smallest(name)}", name) for name in timm.list_modules()]
    return entries


def named(names: list[str]) -> list[Entry]:
    """Return the networks of these names, each once; `BenchError` for a name that there is not.

    A network of no library's, own: or python:, is a family of its own.
    """
    return [_entry(name) for name in dict.fromkeys(names)]


def _entry(name: str) -> Entry:
    models.check_ref(ModelRef(name=name), "--models")
    library, _, own = name.partition(":")
    if library == "torchvision":
        return _torchvision(own)
    if library == "timm":
        import timm

        return Entry(name, timm.model_entrypoint(own.partition(".")[0]).__module__.rpartition(".")[2])
    return Entry(name, own)


def _torchvision(name: str) -> Entry:
    from torchvision.models import get_model_builder

    return Entry(f"torchvision:{name}", get_model_builder(name).__module__.rpartition(".")[2])


def _smallest(family: str) -> str:
    """Return the family's network with the fewest parameters, toys left out where there is another."""
    import timm
    import torch

    names = timm.list_models(module=family)
    sizes = {}
    for name in [name for name in names if not name.startswith("test_")] or names:
        with torch.device("meta"):
            sizes[name] = sum(parameter.numel() for parameter in timm.create_model(name).parameters())
    return min(sizes, key=lambda name: (sizes[name], name))
