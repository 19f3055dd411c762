"""What stands in a procedural scene: the classes, their synonyms, colours and numbers."""

from enum import IntEnum

from ovrs.vocabulary import VocabularyClass


class Label(IntEnum):
    """The value of each class in a label map; the order is that of :data:`SCENE_CLASSES` and never changes."""

    SHIP = 0
    BRIDGE = 1
    HARBOR = 2
    BUILDING = 3
    ROAD = 4
    TREE = 5
    WATER = 6
    VEHICLE = 7
    PLANE = 8
    STORAGE_TANK = 9
    TENNIS_COURT = 10
    SPORTS_FIELD = 11
    CROPLAND = 12
    BARE_SOIL = 13
    GRASS = 14
    SWIMMING_POOL = 15
    PAVEMENT = 16


SCENE_CLASSES: tuple[VocabularyClass, ...] = (
    VocabularyClass("ship", ("boat", "vessel", "watercraft"), (230, 25, 75)),
    VocabularyClass("bridge", ("overpass", "viaduct", "road bridge"), (245, 130, 48)),
    VocabularyClass("harbor", ("harbour", "pier", "dock", "quay", "jetty"), (170, 110, 40)),
    VocabularyClass("building", ("house", "roof", "rooftop"), (220, 60, 60)),
    VocabularyClass("road", ("street", "highway", "roadway"), (128, 128, 128)),
    VocabularyClass("tree", ("forest", "woodland", "tree canopy"), (20, 100, 30)),
    VocabularyClass("water", ("river", "sea", "lake", "water body"), (30, 100, 220)),
    VocabularyClass("vehicle", ("car", "truck", "lorry", "automobile"), (240, 50, 230)),
    VocabularyClass("plane", ("airplane", "aircraft", "aeroplane", "jet"), (145, 30, 180)),
    VocabularyClass("storage tank", ("oil tank", "round tank", "fuel tank"), (70, 240, 240)),
    VocabularyClass("tennis court", ("court", "tennis ground"), (0, 128, 128)),
    VocabularyClass("sports field", ("football pitch", "soccer field", "running track", "sports ground"), (170, 255, 195)),
    VocabularyClass("cropland", ("agricultural field", "farmland", "crops"), (255, 225, 25)),
    VocabularyClass("bare soil", ("bare ground", "sand", "dirt", "bare earth"), (200, 160, 110)),
    VocabularyClass("grass", ("lawn", "meadow", "grassland"), (120, 200, 60)),
    VocabularyClass("swimming pool", ("pool", "outdoor pool"), (0, 200, 255)),
    VocabularyClass("pavement", ("parking lot", "runway", "paved ground", "airport apron"), (190, 190, 200)),
)
"""The classes in label order: ``SCENE_CLASSES[Label.SHIP].name == "ship"``.

The label is what a word denotes: a ploughed field with furrows is cropland, ground without rows is bare soil; the deck
over water is bridge, the same road on land is road; runways, aprons and parking lots are pavement.
"""
