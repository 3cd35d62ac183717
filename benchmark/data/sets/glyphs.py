"""Characters of the fonts that matplotlib ships, rendered with random distortions: nothing to download."""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.data.base import Dataset, Places, Stored
from benchmark.errors import BenchError, unknown

if TYPE_CHECKING:
    from PIL.Image import Image

FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
)
# Characters that at least half of the faces have. Left out is what looks like a Latin letter, or like a character
# before it in its block: whose ink, centred, has a cosine above `ALIKE` in one of the upright faces (tests hold this).
# Of the Latin letters also those lower cases that are their capital's shape at another size (c, o, s, u, v, w, x, z),
# and l, which sans serif faces draw as I: after a random scale no image tells them apart.
BLOCKS = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghijkmnpqrty",
    "greek": "ΓΔΘΛΞΠΣΦΨΩΪΫάέήίΰαβγδεζηθικλμνξπρςστυφχψω",
    "cyrillic": "БГДЖЗИЙЛПФЦЧШЩЪЫЬЭЮЯбвгджзийклмнптфцчшщъыьэюя",
    "armenian": ("ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՎՏՐՑՒՓՔՖաբգդեզէըթժիլխծկձղճմյնշչպջռվտրւփքֆև"),
    "georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸ",
    "ipa": ("ɐɑɒɓɔɕɖɗɘəɚɛɜɝɞɟɠɡɢɣɤɥɦɧɨɩɪɫɬɭɮɯɰɱɲɳɴɵɶɷɸɹɺɻɼɽɾɿʀʁʂʃʄʅʆʇʈʉʊʋʌʍʎʏʐʑʒʓʔʕʖʗʘʙʚʛʜʝʞʟʠʡʢʣʤʥʦʧʨʩʪʫʬʭʮʯ"),
    "arrows": (
        "←↑→↓↔↕↖↗↘↙↚↛↜↝↞↟↠↡↢↣↤↥↦↧↨↩↪↫↬↭↮↯↰↱↲↳↴↵↶↷↸↹↺↻↼↽↾↿⇀⇁⇂⇃⇄⇅⇆⇇⇈⇉⇊⇋"
        "⇌⇍⇎⇏⇐⇑⇒⇓⇔⇕⇖⇗⇘⇙⇚⇛⇜⇝⇞⇟⇠⇡⇢⇣⇤⇥⇦⇧⇨⇩⇪⇫⇭⇮⇯⇰⇱⇲⇳⇴⇵⇶⇷⇸⇹⇺⇻⇼⇽⇾⇿"
    ),
    "math": (
        "∀∁∂∃∄∅∆∇∈∉∊∋∌∍∎∏∐∑−∓∔∕∗∘∙√∛∜∝∞∟∠∣∤∥∦∧∨∩∪∫∬∭∴∵∶∷∸∹∺∻∼∽≁≂≃≄≅≆≇"
        "≈≉≊≋≌≍≎≏≐≑≒≓≔≕≖≗≘≙≚≛≜≝≞≟≠≡≢≣≤≥≦≧≨≩≭≮≯≰≱≲≳≴≵≶≷≸≹≺≻≼≽≾≿⊀⊁⊂⊃⊄⊅⊆"
        "⊇⊈⊉⊊⊋⊌⊍⊎⊏⊐⊑⊒⊓⊔⊕⊖⊗⊘⊙⊚⊛⊜⊝⊞⊟⊠⊡⊢⊣⊤⊥⊦⊧⊨⊩⊪⊫⊬⊭⊮⊯⊲⊳⊴⊵⊸⋂⋃⋄⋅⋆⋍⋎⋏⋐⋑⋚⋛⋜⋝"
        "⋞⋟⋠⋡⋢⋣⋤⋥⋦⋧⋨⋩⋯"
    ),
    "cyrillic-extended": (
        "ѢѣѤѥѪѫѬѭѰѱѲѳѴѵѶѷҌҍҐґҒғҔҕҖҗҘҙҚқҞҟҠҡҢңҤҥҦҧҪҫҬҭүҰұҲҳҴҵҶҷҺӁӂӃӄӇӈӋӌӐӑӒӓӔӕӖӗӘәӚӛӜӝӞӟӠӡӢӣӤӥӦӧӪӫӬӭӮӯӰӱӲӳӴӵӶӷӸӹԐԑԒԓԔԕ"
    ),
    "lao": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮຯະັາຳິີຶືຸູົຼ່້໊໋໌ໍ",
    "currency": "₠₡₢₣₤₥₦₧₨₩₪₫€₭₮₯₰₱₲₳₴₵₸₹₺₽",
}
ALIKE = 0.98
ENOUGH = 6  # faces that must have a character
IMAGES = {"latin": 300}  # per character of a block
OTHERS = 80
SIZE = 16
SEED = 2107  # of the paper's number, 2107.03375
# The distortions: largest rotation in degrees, shear, shift in pixels of 16; scale and contrast; noise in grey values.
ROTATION, SHEAR, SHIFT = 15.0, 0.2, 1.5
SCALE, CONTRAST, NOISE = (0.8, 1.15), (0.6, 1.0), 30.0
CANVAS, EM = 64, 44  # pixels: glyphs are drawn large, then distorted and reduced
# SHA-256 of the pixels at `SIZE`, as Pillow 13.0 with FreeType 2.14 and matplotlib 3.11 render them.
HASHES = {
    "latin": "5d86d9a102f73f4e7a29ce771870a10bedba7c70438318cc21c547cdea93b5ae",
    "greek": "2addcbc9913384fa4c51e067e7eca97c779edccbd5dd76ba517d64d8730d0f43",
    "cyrillic": "5425273e1b93b36d680c08751f7448fbb792b3d369a6055f3ec9ddcc9fbb7a7f",
    "armenian": "20e0e95a9ca594b647add4af36ac2e0c4a8155acc286aaa5c12e41fbc4a8fe55",
    "georgian": "cef65f98b7664ad4c43a5f6d7f8aedf21d731c0b0c746fa6d930fe2cb4ca6d11",
    "ipa": "e50ffdc6ca4c40e625de85726af5fda80c4c76ec2a3d8b703c416381556451f7",
    "arrows": "a75b492043a0f45257c4b4cd6ac06a2fb7078b59fc860726878490a0866f9beb",
    "math": "45c2b308255204dd5c86b76ae6e6cdd6c7c64be8643889b7a027dc2e92aa58a6",
    "cyrillic-extended": "95d228b16e40e79380baed1ee7eab93843e4bb7afcb7f7b799d07e84c15668f2",
    "lao": "d158037a794e35d20f70aedc2b24725c5997f6377370a71ff9aa73afb96064d9",
    "currency": "8a371feef2a6bd8aec4d27492413b93f9b044546efea042652625447f454ac0f",
}


class Glyphs(Dataset):
    """White characters on black, one class each, distorted at random; `glyphs:BLOCK`, or `glyphs:BLOCK:SIZE` in pixels.

    Image k of a character is drawn in face k modulo the faces that have it, then rotated, sheared, scaled and shifted,
    its contrast changed and noise added, all from one seed. Upper and lower case of a letter are two classes where
    their shapes differ.
    """

    name: ClassVar[str] = "glyphs"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return a name for every block."""
        return tuple(f"{cls.name}:{block}" for block in BLOCKS)

    @classmethod
    def check(cls, option: str, where: str) -> int:
        """Refuse an unknown block or a size that cannot be; return the number of characters."""
        block, _, size = option.partition(":")
        if block not in BLOCKS:
            raise unknown("block of glyphs", block, BLOCKS, where)
        if size and not (size.isdigit() and 8 <= int(size) <= CANVAS):
            raise BenchError(f"{where}: glyphs of {size!r} pixels; expected a size from 8 to {CANVAS}")
        return len(BLOCKS[block])

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:
        """Render the block; `BenchError` where the fonts are missing, or come out otherwise than they were recorded."""
        import matplotlib
        import PIL

        cls.check(option, "name")
        block, _, size = option.partition(":")
        images = render(block, int(size or SIZE), places)
        found = hashlib.sha256(images.tobytes()).hexdigest()
        if not size and HASHES.get(block) != found:
            raise BenchError(
                f"glyphs:{block}: renders to other pixels than recorded (SHA-256 {found[:12]}...) under Pillow "
                f"{PIL.__version__} and matplotlib {matplotlib.__version__}; install the versions of requirements.lock"
            )

        def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
            yield from images[rows]

        return Stored(
            labels=np.arange(len(BLOCKS[block])).repeat(count(block)),
            classes=tuple(BLOCKS[block]),
            read=read,
            licence="Bitstream Vera and DejaVu font licence (free to use and redistribute)",
            citation="DejaVu fonts, dejavu-fonts.github.io, as shipped with matplotlib",
            source=f"rendered by Pillow {PIL.__version__} from the fonts of matplotlib {matplotlib.__version__}",
        )


def count(block: str) -> int:
    """Return the number of images of each character of a block."""
    return IMAGES.get(block, OTHERS)


def render(block: str, size: int, places: Places) -> NDArray[np.uint8]:
    """Return the images of a block, uint8 [characters * count, size, size], character by character."""
    characters, each = BLOCKS[block], count(block)
    faces = {name: Face(name) for name in FACES}
    images = np.empty((len(characters) * each, size, size), np.uint8)
    for place, character in enumerate(characters):
        drawn = [face.draw(character) for face in faces.values() if face.has(character)]
        random = np.random.default_rng([SEED, ord(character)])
        for number in range(each):
            images[place * each + number] = distorted(drawn[number % len(drawn)], size, random)
        places.progress(f"render glyphs:{block}", (place + 1) / len(characters))
    return images


class Face:
    """A font file: which characters it has, and how it draws them."""

    def __init__(self, name: str) -> None:
        from matplotlib.ft2font import FT2Font
        from PIL import ImageFont

        path = str(folder() / f"{name}.ttf")
        self._characters = frozenset(FT2Font(path).get_charmap())
        # The basic layout needs no library that may or may not be there.
        self._font = ImageFont.truetype(path, EM, layout_engine=ImageFont.Layout.BASIC)

    def has(self, character: str) -> bool:
        """Return whether the font has a glyph for a character."""
        return ord(character) in self._characters

    def draw(self, character: str) -> "Image":
        """Return the character, white on black, its ink in the middle of the canvas."""
        from PIL import Image, ImageDraw

        left, top, right, bottom = self._font.getbbox(character)
        image = Image.new("L", (CANVAS, CANVAS))
        corner = ((CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2)
        ImageDraw.Draw(image).text(corner, character, font=self._font, fill=255)
        return image


def distorted(image: "Image", size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random distortion of a glyph, uint8 [size, size]."""
    from PIL import Image

    angle, shear = np.deg2rad(random.uniform(-ROTATION, ROTATION)), random.uniform(-SHEAR, SHEAR)
    shift = random.uniform(-SHIFT, SHIFT, 2) * CANVAS / 16
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Pillow asks where a pixel of the result comes from.
    back = np.linalg.inv(random.uniform(*SCALE) * turn @ np.array([[1.0, shear], [0.0, 1.0]]))
    middle = np.full(2, CANVAS / 2)
    offset = middle - back @ (middle + shift)
    affine = (*back[0], offset[0], *back[1], offset[1])
    moved = image.transform((CANVAS, CANVAS), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    small = np.asarray(moved.resize((size, size), Image.Resampling.BOX), np.float64)
    noisy = random.uniform(*CONTRAST) * small + random.normal(0, NOISE, (size, size))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def folder() -> Path:
    """Return the folder of matplotlib's fonts, without importing matplotlib; `BenchError` where there is none."""
    spec = find_spec("matplotlib")
    path = Path(spec.origin).parent / "mpl-data/fonts/ttf" if spec is not None and spec.origin else None
    if path is None or not path.is_dir():
        raise BenchError("glyphs: the fonts of matplotlib are missing; `pip install 'dapbench[pipeline]'` brings them")
    return path
