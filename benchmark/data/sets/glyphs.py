"""`glyphs:BLOCK`: characters of the fonts that matplotlib ships, distorted at random; nothing to download."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.fonts import distinct, pictures
from benchmark.data.formats import of_array
from benchmark.errors import BenchError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOURCE_IMAGES, _TARGET_IMAGES = 300, 100


@dataclass(frozen=True)
class Block:
    """A set of characters.

    `characters` are those of the code points `first` to `last` of the Unicode category `category` that the fonts draw
    and that look like no character of this block or of one before it (`benchmark.data.fonts.distinct`). `digests` are
    the SHA-256 of all pixels at each size.
    """

    first: int
    last: int
    category: str
    characters: str
    digests: dict[int, str]

    def candidates(self) -> list[str]:
        """Return every character of the category among the code points."""
        return [
            character
            for character in map(chr, range(self.first, self.last + 1))
            if unicodedata.category(character).startswith(self.category)
        ]


# In the order in which look-alikes are left out: Latin first.
BLOCKS: dict[str, Block] = {
    "latin": Block(
        0x0041,
        0x007A,
        "L",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghijklmnpqrty",
        {
            16: "cc456145a1f9b3290ce8e2fe410379c6e839cde3eb92dd0e5eb882f167c4170a",
            32: "4b37fcb2ec612cddf82115fefaeb782fe5796e6a880167b02815f5e41411e309",
        },
    ),
    "greek": Block(
        0x0370,
        0x03FF,
        "L",
        "\u0370\u0372\u0374\u0376\u037a\u037b\u037c\u037d\u0386\u0388\u0389\u038a\u038e\u038f\u0390"
        "\u0394\u039b\u039e\u03a3\u03a6\u03a8\u03aa\u03ab\u03ac\u03ad\u03ae\u03af\u03b0\u03b1\u03b2"
        "\u03b4\u03b5\u03b6\u03b7\u03b9\u03bb\u03bc\u03bd\u03be\u03c0\u03c2\u03c3\u03c4\u03c5\u03c6"
        "\u03c9\u03ca\u03cb\u03ce\u03cf\u03d1\u03d5\u03d6\u03d7\u03d8\u03dd\u03de\u03df\u03e0\u03e1"
        "\u03f0\u03f7\u03f8\u03fa\u03fb\u03fc",
        {
            16: "03a114250d228dfc89cfe6595b184b3ab73c5d4efdfce7bfd22f2019402a5fe6",
            32: "9942b7e94537dc66139361d1c8ecef88c2bc1002c59e622c8450203d8dee869b",
        },
    ),
    "cyrillic": Block(
        0x0400,
        0x052F,
        "L",
        "\u0400\u0402\u0403\u0409\u040a\u040b\u040c\u040d\u040e\u040f\u0411\u0414\u0416\u0417\u041b"
        "\u0426\u0427\u0429\u042a\u042b\u042c\u042e\u042f\u0433\u0434\u0439\u0442\u0450\u0451\u0452"
        "\u0453\u0457\u045b\u045c\u0462\u0463\u0464\u046a\u046c\u0470\u0471\u0476\u0477\u048d\u0490"
        "\u0492\u0493\u0494\u0496\u0498\u049b\u049f\u04a0\u04a2\u04a4\u04a6\u04aa\u04ac\u04ad\u04b0"
        "\u04b2\u04b4\u04b6\u04ba\u04c1\u04c3\u04c7\u04cb\u04cf\u04d4\u04d5\u04da\u04de\u04e0\u04ed"
        "\u04f4\u04f5\u04f6\u04f7\u04f8\u0512\u0514",
        {
            16: "9d091244d9ffbaf3bddc4d29c5c3245949f15954f7bd895da04625e6889c0fce",
            32: "3fab9413543e4dd0a0552ba6ac50317b973876eec30404a4507b4298c7675fd4",
        },
    ),
    "armenian": Block(
        0x0531,
        0x0587,
        "L",
        "\u0531\u0533\u0534\u0535\u0536\u0537\u0538\u0539\u053a\u053b\u053d\u053f\u0540\u0542\u0543"
        "\u0544\u0546\u0547\u0549\u054a\u054b\u054c\u054e\u0550\u0552\u0554\u0556\u0559\u0564\u0569"
        "\u056b\u056c\u056d\u056e\u056f\u0573\u0574\u0576\u0577\u0579\u057a\u057b\u057e\u0580\u0586"
        "\u0587",
        {
            16: "32ceb1ac02731dfd35734595be98399c86c9735d16e086ebb37fda685c4b56e6",
            32: "04dcae8d8c9b0fc0b343f5bea23b73ed211cbff3271507682a0ee6c67b453e78",
        },
    ),
    "georgian": Block(
        0x10A0,
        0x10FF,
        "L",
        "\u10a0\u10a1\u10a2\u10a3\u10a4\u10a5\u10a6\u10a7\u10a8\u10a9\u10aa\u10ab\u10ac\u10ad\u10ae"
        "\u10af\u10b0\u10b1\u10b2\u10b5\u10b6\u10b8\u10bb\u10bc\u10bd\u10be\u10bf\u10c0\u10c1\u10c3"
        "\u10c4\u10c5\u10d0\u10d3\u10d4\u10d6\u10d9\u10da\u10dd\u10df\u10e0\u10e2\u10e3\u10e4\u10e5"
        "\u10e6\u10e9\u10ec\u10ed\u10ef\u10f0\u10f1\u10f2\u10f3\u10f4\u10f5\u10f8\u10fa\u10fc",
        {
            16: "abbe016e767beaa92ddcf80856669fe5553bce893e50cc4ebafa93bec12dd4a5",
            32: "bfee2b8a8b70aa80fcbf69e21e4706c733b787298f91697b68b8650f0123b333",
        },
    ),
    "latin-extended": Block(
        0x00C0,
        0x024F,
        "L",
        "\u00cc\u00cd\u00d0\u00d1\u00d2\u00d8\u00d9\u00e1\u00e5\u00ec\u00ed\u00f9\u00fa\u00fd\u0104"
        "\u0105\u0106\u0107\u0109\u010e\u010f\u0111\u011c\u011d\u0124\u0125\u0126\u0127\u012e\u012f"
        "\u0130\u0131\u0132\u0133\u0134\u0137\u0139\u013a\u013b\u013c\u013d\u013e\u013f\u0140\u0141"
        "\u0142\u0144\u0145\u0146\u0149\u014b\u0152\u0154\u0156\u0159\u015a\u015d\u015e\u0163\u0164"
        "\u0165\u0166\u0167\u016e\u016f\u0172\u0173\u0174\u0175\u0179\u017a\u017e\u017f\u0180\u0181"
        "\u0184\u0185\u0187\u018a\u018c\u018e\u0191\u0192\u0193\u0194\u0195\u0196\u0197\u0199\u019a"
        "\u019b\u019d\u01a2\u01a3\u01a4\u01a6\u01a7\u01aa\u01ae\u01b0\u01b2\u01b4\u01b5\u01b9\u01ba"
        "\u01be\u01c0\u01c1\u01c2\u01c4\u01c5\u01c6\u01c7\u01ca\u01cc\u01e2\u01e3\u01e9\u01ed\u01f0"
        "\u01f1\u01f2\u01f3\u01fa\u01fb\u01fe\u021c\u0221\u0222\u0224\u0228\u0229\u0231\u0234\u0235"
        "\u0236\u0239\u023b\u023d\u023e\u023f\u0240\u0241\u0242\u0243\u0244\u0246\u0248\u0249\u024a"
        "\u024c\u024d\u024f",
        {
            16: "23c0aa5d8c8aafe676a52b843e54dcfd32e088ad90c17f3e33105315f53dce3c",
            32: "0096de945ba144cc55e01d7ea1d1a506ad6ff84a097c5127b7ef189b0b8ec4f7",
        },
    ),
    "ipa": Block(
        0x0250,
        0x02AF,
        "L",
        "\u0255\u0256\u025a\u025d\u0260\u0265\u0267\u0268\u026a\u026b\u026c\u026d\u026e\u0271\u0272"
        "\u0277\u0278\u0279\u027b\u027d\u027e\u027f\u0281\u0283\u0284\u0285\u0286\u0287\u028d\u028e"
        "\u0290\u0291\u0295\u0296\u0297\u029d\u029e\u02a0\u02a1\u02a2\u02a4\u02a6\u02a7\u02a8\u02a9"
        "\u02ab\u02ac\u02ad\u02ae\u02af",
        {
            16: "4db5607f584bdbe5b68dba774af1c16281ac567d4122da28bf31f5e8adbdefc5",
            32: "633d7f76f26b883e688ca103032e1ad65d885b1b826ac018395bfaf09c462135",
        },
    ),
    "math": Block(
        0x2200,
        0x22FF,
        "S",
        "\u2200\u2202\u2203\u2204\u2205\u2206\u2207\u2208\u2209\u220b\u220c\u220d\u220e\u220f\u2210"
        "\u2211\u2212\u2213\u2214\u2215\u2217\u2218\u2219\u221a\u221b\u221e\u221f\u2220\u2223\u2224"
        "\u2225\u2226\u2227\u2229\u222a\u222b\u222c\u222d\u2234\u2235\u2236\u2237\u2238\u2239\u223a"
        "\u223b\u223c\u223d\u2241\u2242\u2243\u2244\u2245\u2246\u2248\u224d\u224e\u224f\u2250\u2251"
        "\u2252\u2253\u2256\u2257\u225b\u225e\u225f\u2262\u2264\u2265\u2266\u2267\u226e\u226f\u2270"
        "\u2271\u2276\u2277\u227a\u227b\u227c\u227d\u2281\u2282\u2283\u2284\u2285\u2286\u2287\u2288"
        "\u2289\u228a\u228b\u228c\u228f\u2290\u2293\u2294\u229e\u229f\u22a0\u22a1\u22a2\u22a3\u22a4"
        "\u22a5\u22a6\u22a7\u22a8\u22a9\u22aa\u22ab\u22ac\u22ad\u22ae\u22af\u22b2\u22b3\u22b4\u22b5"
        "\u22b8\u22c4\u22c6\u22cd\u22ce\u22cf\u22d0\u22d1\u22da\u22db\u22dc\u22dd\u22de\u22e0\u22e1"
        "\u22e6\u22e7\u22ef",
        {
            16: "d9cb082c2e30d5e3286a6d323ab2367f49cdf7e098501c9b4ff250c4a355f1fd",
            32: "ef4829c700f18882a063c06a7a7e3540da336545383e7fec6e6a32133a253e9a",
        },
    ),
    "arrows": Block(
        0x2190,
        0x21FF,
        "S",
        "\u2190\u2191\u2192\u2193\u2194\u2195\u2196\u2197\u2198\u2199\u219a\u219b\u219c\u219d\u219e"
        "\u219f\u21a0\u21a1\u21a2\u21a3\u21a5\u21a7\u21a8\u21a9\u21aa\u21ab\u21ac\u21ad\u21ae\u21af"
        "\u21b0\u21b1\u21b2\u21b3\u21b4\u21b5\u21b6\u21b7\u21b8\u21b9\u21ba\u21bb\u21bc\u21bd\u21be"
        "\u21bf\u21c0\u21c1\u21c2\u21c3\u21c5\u21c6\u21c7\u21c8\u21c9\u21ca\u21cd\u21cf\u21d0\u21d1"
        "\u21d2\u21d3\u21d4\u21d5\u21d6\u21d7\u21d8\u21d9\u21da\u21db\u21dc\u21dd\u21de\u21e4\u21e5"
        "\u21ea\u21eb\u21ed\u21ee\u21ef\u21f0\u21f1\u21f2\u21f5\u21f6\u21f8",
        {
            16: "4daa77fbd9efa8b51e5aa2b95a31b81200b7da7a79a7b69b3d4a21530f7787a5",
            32: "512076b4840992b6bdc57d1ef3276820bab07dae5cab0e5ee07ce4f1617215e9",
        },
    ),
    "lao": Block(
        0x0E80,
        0x0EFF,
        "L",
        "\u0e81\u0e87\u0e8a\u0e8d\u0e95\u0e96\u0e99\u0e9c\u0e9d\u0e9e\u0ea1\u0ea7\u0eae\u0eaf\u0eb2\u0eb3",
        {
            16: "12292ce322b9cddfbff81231a9188428c4f727fe991e965a990014cdeb839e94",
            32: "074366b1d908cae32895b722056719c6985331d6f6e5b256ba7910059c0a53bc",
        },
    ),
    "shapes": Block(
        0x2500,
        0x25FF,
        "S",
        "\u2500\u2501\u2502\u2503\u250c\u250d\u250e\u2510\u2512\u2514\u2515\u2516\u2518\u251a\u251c"
        "\u251e\u251f\u2520\u2524\u2526\u252d\u2535\u253c\u2550\u2551\u2552\u2553\u2554\u2555\u2556"
        "\u2557\u2558\u2559\u255a\u255b\u255c\u255d\u255e\u255f\u2561\u2562\u2564\u2565\u2566\u2567"
        "\u2568\u2569\u256a\u256b\u2572\u2573\u2578\u2579\u257c\u257d\u257e\u257f\u2580\u2581\u2582"
        "\u258a\u2591\u2599\u259a\u259b\u259c\u259e\u259f\u25a1\u25ad\u25af\u25b0\u25b1\u25b2\u25b6"
        "\u25ba\u25bb\u25bc\u25c0\u25c4\u25c5\u25c6\u25c7\u25ca\u25cb\u25ce\u25d0\u25d1\u25d2\u25d3"
        "\u25d4\u25d5\u25d6\u25d7\u25d8\u25dc\u25dd\u25de\u25df\u25e0\u25e1\u25e2\u25e3\u25e4\u25e5"
        "\u25e7\u25e8\u25e9\u25ea\u25eb\u25ec\u25ed\u25ee\u25f4\u25f5\u25f6\u25f7\u25f8\u25f9\u25fa"
        "\u25ff",
        {
            16: "062524bc94699a665495e7ae125ff6da8c3a289d1f3389bc117fbd474f95b205",
            32: "cc4b2ea8c5b63d3c045f53dc7ba66a27b183d62568a3e331dd3bb998ca42f833",
        },
    ),
    "symbols": Block(
        0x2600,
        0x27BF,
        "S",
        "\u2600\u2601\u2602\u2603\u2604\u2606\u2607\u2608\u2609\u260a\u260b\u260c\u260d\u260e\u2611"
        "\u2614\u2615\u2616\u2619\u261a\u261b\u261c\u261d\u261e\u261f\u2620\u2621\u2622\u2623\u2625"
        "\u2627\u2629\u262a\u262d\u262f\u263d\u263e\u263f\u2640\u2641\u2642\u2643\u2644\u2645\u2646"
        "\u2647\u2648\u2649\u264a\u264b\u264c\u264d\u264e\u264f\u2650\u2651\u2653\u2654\u2655\u2656"
        "\u2658\u265a\u265c\u2660\u2661\u2664\u2665\u2667\u2668\u2669\u266a\u266b\u266c\u266d\u266e"
        "\u266f\u2672\u2673\u267a\u267e\u267f\u2681\u2683\u2686\u2687\u268b\u2690\u2691\u2692\u2693"
        "\u2694\u2695\u2696\u2697\u2698\u26a0\u26a1\u26b0\u26b1\u2701\u2702\u2703\u2706\u2707\u2708"
        "\u270c\u270d\u270f\u2711\u2712\u2713\u2716\u2717\u2719\u271c\u271e\u2721\u2726\u275b\u275c"
        "\u275d\u275e\u2761\u2766\u2767\u2794\u279b\u279d\u27a1\u27a2\u27a7\u27a9\u27ab\u27ac\u27ad"
        "\u27ae\u27b2\u27b3\u27b4\u27b6",
        {
            16: "f505bb132bc94752694226606df03eae1607248ed735fad84284895fa8b6795c",
            32: "68d5924e2155c721b334ac855216c7c27423cac57e9ced6592991001c45c72c9",
        },
    ),
}
# Kept aside for choosing settings: no suite reports them.
TUNING = frozenset({"lao", "shapes", "symbols"})


class Glyphs(Dataset):
    """Grey pictures of characters, white on black: 300 of each for `latin`, which serves as the source, otherwise 100.

    `glyphs:BLOCK` is one block at 16 x 16 pixels, `glyphs:BLOCK@32` the same at 32 x 32. Up to twelve faces (DejaVu
    Sans, Sans Mono and Serif, each upright, bold and slanted) take turns; every picture is turned, sheared, stretched,
    scaled, shifted and noised from a fixed seed. A character that looks like one of an earlier block or of its own is
    left out: of the Latin letters c, o, s, u, v, w, x and z, which differ from the capitals by their size only.
    """

    name: ClassVar[str] = "glyphs"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return a name per block and size."""
        return tuple(
            f"{cls.name}:{name}" + ("" if size == 16 else f"@{size}")
            for name in BLOCKS
            for size in BLOCKS[name].digests
        )

    @classmethod
    def check(cls, option: str, where: str) -> int:
        """Return the number of characters."""
        if f"{cls.name}:{option}" not in cls.forms():
            raise unknown("block of glyphs", option, [form.partition(":")[2] for form in cls.forms()], where)
        return len(BLOCKS[option.partition("@")[0]].characters)

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """Draw the pictures, and compare their hash with the recorded one."""
        import PIL
        from PIL import features

        name, _, wanted = option.partition("@")
        block, size = BLOCKS[name], int(wanted or 16)
        images = draw(name, size)
        found = hashlib.sha256(images.data).hexdigest()
        if found != block.digests[size]:
            raise BenchError(
                f"{cls.name}:{option}: Pillow {PIL.__version__} with FreeType {features.version('freetype2')} and the "
                f"fonts of the installed matplotlib draw other pixels (SHA-256 {found}) than those recorded "
                f"({block.digests[size]}); install the versions of requirements.lock"
            )
        return Stored(
            labels=np.repeat(np.arange(len(block.characters)), len(images) // len(block.characters)).astype(np.int64),
            classes=tuple(f"U+{ord(character):04X} {character}" for character in block.characters),
            read=of_array(lambda: images),
            licence="Bitstream Vera licence, DejaVu's changes in the public domain",
            citation="DejaVu Fonts 2.37, https://dejavu-fonts.github.io, as shipped with matplotlib",
            source=f"drawn by Pillow {PIL.__version__} with FreeType {features.version('freetype2')}",
        )


@cache
def draw(name: str, size: int) -> NDArray[np.uint8]:
    """Return the pictures of a block, class by class: uint8 [N, size, size]. The same on every call."""
    count = _SOURCE_IMAGES if name == "latin" else _TARGET_IMAGES
    random = np.random.default_rng(list(name.encode()))
    drawn = [picture for character in BLOCKS[name].characters for picture in pictures(character, count, size, random)]
    return np.stack(drawn)


def choose() -> dict[str, str]:
    """Return the characters of each block by the rule; what `BLOCKS` records is this."""
    taken: list[str] = []
    chosen: dict[str, str] = {}
    for name, block in BLOCKS.items():
        kept = distinct(block.candidates(), taken)
        taken += kept
        chosen[name] = "".join(kept)
    return chosen
