"""`glyphs:BLOCK`: characters of the fonts that matplotlib ships, distorted at random; nothing to download."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
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
            16: "1ec6c5c6e40206a5405f558997d7ad8ce5246db80c3efa12c749fd7697f71f94",
            32: "d215bbd93982d6b1f92b2d7bb3d62338cab78e5eb3e16e400eca27d69c68bbf7",
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
            16: "21b34a6a42e31edabeaa16af269258284e0063d56da7578bec7b0f5daa9ab077",
            32: "28de78049cb8ec60ecda8b5287cbcd2c6c8e67b6caa874b02e33e1fb19b2f9a9",
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
            16: "04215a5956ea3fca7293e6340f3fc826a5ce19592552956911f42fae0f85b38b",
            32: "62435d41d96b48289fa8c2c32e7afa747db0a5d4d1afafb9216a63a50f30339b",
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
            16: "aa5ae994e83079cb344550d8ac643e810943a41b564412dd09fcb8a82bf25cbf",
            32: "06875214243ac4f5106c66657d4557965bc4dfbe183e7cd86532d2260a61319f",
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
            16: "f2c132704fb5dcc4ca248edd511a93477dbe5f4144ca2c4fcdb6a87cda190921",
            32: "02e34bfd0fa7c06ec6399d35f876cee8069b2d107087ab177fb8f1b5f519e6ed",
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
            16: "4f79e62d4bad499d91ff7ff6217d95939c177949645c50753926eba92198175a",
            32: "6fddb712e7d87545cdd9db93bcf26e69576eaa221432a62fb8261f9b9fdf2d29",
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
            16: "f34aef9069053c738867aad40d4c1003841e565a3f45f56ac0623a0f074a7020",
            32: "5a895c70b7cd6b5bb092c56b22638b379c25a3f7a9c02b4af169bdcaebf6d2c3",
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
            16: "dedb05ab75a38a81c3462b8359e5bbfd9df14b7a8758e2a56ad7285ef6b3b8fd",
            32: "9cc9ac2aa89df204bad67e94efa0c357a29179b9765fbd8f4ced7527506ee19c",
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
            16: "5958cab99d44b716d83802b8f3664387eb2b42431ee594afe28a3342bcacb827",
            32: "7223cf9a361fd9dfd1571963d0fee3075feaf080da40cc0ddbcb3a59a5d93dd3",
        },
    ),
    "lao": Block(
        0x0E80,
        0x0EFF,
        "L",
        "\u0e81\u0e87\u0e8a\u0e8d\u0e95\u0e96\u0e99\u0e9c\u0e9d\u0e9e\u0ea1\u0ea7\u0eae\u0eaf\u0eb2\u0eb3",
        {
            16: "064efa392f71eabc4173bf0a0b7a5815a30e004410fb164ed17f5a82c8776121",
            32: "76b7bbaba119420df7b28e0d978481b5e2e9ce60679a5e4e6871d1f8798f8674",
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
            16: "3084e56a60c7f98b417e9fccdfb8a97c764c2e46396352b920c4653326a06f43",
            32: "5696562c49388b6fc4ccecf3fad82b9910996e5f8de3b74623f69f12c58e676a",
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
            16: "7d0f01524d9df8eb77d5547019e1e57927b527a30348d8526aa66e354962a55d",
            32: "9911771a286a2bdbed53e77a50f719f3ee39ab8d59376978e8567811da1a05da",
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


def choose() -> Iterator[tuple[str, str]]:
    """Yield the name of each block and its characters by the rule; what `BLOCKS` records is this."""
    taken: list[str] = []
    for name, block in BLOCKS.items():
        kept = distinct(block.candidates(), taken)
        taken += kept
        yield name, "".join(kept)
