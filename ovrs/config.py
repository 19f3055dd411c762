"""The configuration keys that ovrs adds to Detectron2's, their defaults and what they do (one system's own: config_systems.py).

The defaults are the published AerOSeg (ViT-B/16 and SAM-L); a file in ``configs/`` states what differs from them. Only the
``from_config`` of a system reads these keys: blocks and encoders take plain arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode, get_cfg

from ovrs.config_data import add_data_keys
from ovrs.config_files import find_config, refuse_aliases
from ovrs.config_referring import add_referring_keys
from ovrs.config_systems import add_system_keys
from ovrs.errors import ConfigError


def add_ovrs_config(cfg: CfgNode) -> None:
    """Add ovrs's keys to a Detectron2 configuration, in place."""
    _add_model(cfg)
    add_system_keys(cfg.MODEL)
    _add_training(cfg)
    add_data_keys(cfg)
    _add_inference(cfg)
    add_referring_keys(cfg)


def _add_model(cfg: CfgNode) -> None:
    model = cfg.MODEL
    model.META_ARCHITECTURE = "AerOSeg"
    # Arithmetic of the forward pass: fp32, bf16 or fp16 (autocast; gradients are scaled for fp16 on CUDA only).
    model.PRECISION = "fp32"
    # A preset of ovrs.modeling.prompts (also climate, see there), or templates: "{}" where the class name goes, "|" between.
    model.PROMPTS = "remote_sensing"
    # Side in pixels to which every view is squeezed before the encoders (CAT-Seg's 384); 0 keeps the image's own size.
    model.FIXED_SIZE = 0
    # Classes computed at a time where classes do not meet, at most; bounds memory, changes nothing else but the time.
    model.CLASS_CHUNK = 20
    # Above this many rows only the best matching ones of an image are aggregated, the others score 0; 0 = no limit. Of
    # AerOSeg; RS-ZeroSeg scores every row (in its heads carh and cosine classes never meet, in its decoder all do).
    model.MAX_CLASSES = 256

    vl = model.VISION_LANGUAGE = CfgNode()
    # An open_clip architecture of CLIP or SigLIP ("ViT-B-16-quickgelu", "ViT-L-14", "ViT-B-16-SigLIP2", ...), or "small": the
    # sizes under SMALL with a frozen MiniLM as its text tower. OpenAI's weights want the names that end in -quickgelu.
    vl.NAME = "ViT-B-16-quickgelu"
    # The encoder's own weights: a file, or the name of published ones (python -m ovrs.weights list), whose NAME, PIXEL_MEAN and
    # PIXEL_STD must then be those of the table; "" leaves them random until MODEL.WEIGHTS is loaded.
    vl.WEIGHTS = ""
    # Folder of SigLIP's tokenizer (tokenizer.json, tokenizer_config.json, special_tokens_map.json); "" = beside WEIGHTS.
    vl.TOKENIZER = ""
    # freeze | attention (query and value projections of both towers) | image (the image tower alone) | full
    vl.TRAIN = "attention"
    # Quarter turns, counter-clockwise, in which the image is read (eq. 1).
    vl.ROTATIONS = [0, 1, 2, 3]
    vl.PIXEL_MEAN = [122.7709383, 116.7460125, 104.09373615]
    vl.PIXEL_STD = [68.5005327, 66.6321579, 70.3231630]
    vl.SMALL = CfgNode()
    vl.SMALL.IMAGE_SIZE = 256
    vl.SMALL.PATCH = 16
    vl.SMALL.WIDTH = 192
    vl.SMALL.LAYERS = 6
    vl.SMALL.HEADS = 6
    vl.SMALL.EMBED_DIM = 192
    # What embeds the patches: a few "convolutions", or "timm:<model>", a backbone cut where its stride is PATCH.
    vl.SMALL.STEM = "convolutions"
    # Weights of that backbone: a file under timm's names, or "imagenet" (see ovrs.modeling.pretrained); "" = random.
    vl.SMALL.STEM_WEIGHTS = ""

    guidance = model.GUIDANCE = CfgNode()
    # sam_vit_b | sam_vit_l | sam_vit_h | clip (the vision-language encoder's own features) | timm:<model>, a
    # pyramid or a plain ViT; with its tag where weights decide how positions are resized: timm:vit_base_patch8_224.dino;
    # "small", the image tower of the sizes under VISION_LANGUAGE.SMALL, on a STEM timm:<model>
    guidance.NAME = "sam_vit_l"
    # A file as published, or the name of published weights, as above; for some models of timm "imagenet"; for small the
    # weights of a system that holds it; "" as above.
    guidance.WEIGHTS = ""
    # F_g^1, F_g^2, F_g^3: blocks counted from 1 as the paper does, or SAM's "neck"; the levels of a pyramid from 0;
    # for clip, two blocks (the dense output is the third); for small, levels of its backbone from 0, or "dense".
    guidance.LAYERS = [8, 16, 24]
    # Bring features to mean 0 and variance 1 over channels (with NAME clip they stay as they are): those of convolutional
    # pyramids vary many times as much as SAM's, for which the rates and the weight of L_sem were chosen.
    guidance.UNIT_VARIANCE = False
    # freeze | attention (queries, keys, values and outputs of its attention layers) | full
    guidance.TRAIN = "freeze"
    # Side in pixels of the guidance encoder's input; 0 = the image's own size (padded to the encoder's patch).
    guidance.INPUT_SIZE = 0
    guidance.PIXEL_MEAN = [123.675, 116.28, 103.53]
    guidance.PIXEL_STD = [58.395, 57.12, 57.375]
    # Width of the guidance of the spatial blocks (eq. 5), and of the text guidance of the class blocks (eq. 6).
    guidance.SPATIAL_DIM = 128
    guidance.TEXT_DIM = 128
    # Widths of the decoder's guidance at 2x and 4x (eq. 10).
    guidance.DECODER_DIMS = [32, 16]
    # How decoder guidance reaches the decoder's grid: "nearest" (eq. 10) or "deconv" (CAT-Seg, OVRS).
    guidance.UPSAMPLE = "nearest"
    # Folder in which a frozen encoder's features are kept, so that it sees an image once in all of training; "" = off.
    # Only where INPUT draws nothing at random: every crop or flip is another image.
    guidance.CACHE = ""
    # fp32 or fp16 (half the disk; features are rounded).
    guidance.CACHE_PRECISION = "fp32"

    cost = model.COST = CfgNode()
    cost.DIM = 128
    cost.KERNEL = 7

    refinement = model.REFINEMENT = CfgNode()
    refinement.BLOCKS = 2
    refinement.HEADS = 4
    refinement.WINDOW = 12
    # Average pooling of the class blocks, in training and in evaluation (CAT-Seg trains with 2, OVRS evaluates with 1).
    refinement.POOLING_TRAIN = 2
    refinement.POOLING_TEST = 1
    # The class axis is padded to this length with one learned token; 0 = no padding.
    refinement.CLASS_PADDING = 256
    # Compute that padding as one weighted token: the same result, without its cost.
    refinement.FOLD_PADDING = True
    # After the blocks, the gate of RS-ZeroSeg's head (not in AerOSeg's paper).
    refinement.TEXT_GATE = False

    decoder = model.DECODER = CfgNode()
    decoder.DIMS = [64, 32]
    # Attention-aware upsampling (eqs. 8 to 10); False is CAT-Seg's plain decoder.
    decoder.ATTENTION = True

    back = model.BACK_PROJECTION = CfgNode()
    # guidance | clip | rgb | none: what the refined features must reproduce in training (eq. 7).
    back.TARGET = "guidance"
    back.HIDDEN = [1024, 1024]
    # False: classes are concatenated (eq. 7, bound to one training class list); True: averaged, for mixed vocabularies.
    back.POOL_CLASSES = False

    loss = model.LOSS = CfgNode()
    # What a pixel labelled "ignore" is in training: "negative" for every class (CAT-Seg) or "mask"ed out.
    loss.IGNORED = "negative"
    # mean over pixels and classes (CAT-Seg), or class_sum: mean over pixels, sum over classes (eq. 12 as printed).
    loss.REDUCTION = "mean"
    loss.BCE_WEIGHT = 1.0
    # Weight and reduction (mean | sum over space and channels) of L_sem (eq. 13).
    loss.SEMANTIC_WEIGHT = 1.0
    loss.SEMANTIC_REDUCTION = "mean"
    # Cross entropy on the cost volume itself; not in the paper: the small model's stand-in for CLIP's pre-training.
    loss.ALIGNMENT_WEIGHT = 0.0


def _add_training(cfg: CfgNode) -> None:
    cfg.SOLVER.OPTIMIZER = "AdamW"
    cfg.SOLVER.BASE_LR = 2e-4
    # Learning rate of the encoders, as a share of BASE_LR (the paper's 2e-6).
    cfg.SOLVER.VISION_LANGUAGE_MULTIPLIER = 0.01
    cfg.SOLVER.GUIDANCE_MULTIPLIER = 0.01
    # Learning rate of a small encoder's backbone, which may come pre-trained, as a share of that encoder's.
    cfg.SOLVER.STEM_MULTIPLIER = 1.0
    cfg.SOLVER.WEIGHT_DECAY = 1e-4
    cfg.SOLVER.WEIGHT_DECAY_EMBED = 0.0
    # WarmupCosineLR | WarmupPolyLR, to the power of POLY_POWER | WarmupMultiStepLR
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"
    cfg.SOLVER.POLY_POWER = 0.9
    cfg.SOLVER.WARMUP_ITERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 4
    # Parts in which a batch goes through the model, one after the other, to save memory: gradients add up to those of the
    # whole batch (exactly so where the loss is a mean over equal counts). Must divide the images that a process has of it.
    cfg.SOLVER.ACCUMULATION_STEPS = 1
    # Decay per iteration of a running average of the weights, which is then evaluated and exported; 0 = none.
    cfg.SOLVER.EMA_DECAY = 0.0
    cfg.SOLVER.MAX_ITER = 10000
    # Checkpoints every CHECKPOINT_PERIOD iterations; so many of them stay, and model_final and model_best; 0 = all.
    cfg.SOLVER.CHECKPOINTS_KEPT = 3
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 0.01

    # Which of a training set's classes carry labels: "all", or "seen" (unseen classes become ignored pixels).
    cfg.DATASETS.TRAIN_CLASSES = "seen"
    # Names of seen classes that a fold hides: in training they count as unseen; in evaluation they are the unseen classes,
    # against the seen ones left, and the truly unseen are left out (docs/evaluation.md: choosing the calibration).
    cfg.DATASETS.HIDDEN_CLASSES = ()
    # YAML files that describe data sets of your own (docs/own_data.md); each adds NAME_train and NAME_val.
    cfg.DATASETS.FILES = ()
    # How often each set of DATASETS.TRAIN is drawn, relative to the others; () = by its size. A batch comes from one set.
    cfg.DATASETS.TRAIN_WEIGHTS = ()
    # In training a class goes by a randomly drawn one of its synonyms.
    cfg.DATASETS.DRAW_SYNONYMS = False
    # In evaluation a class scores by the best of its synonyms; otherwise by its name alone.
    cfg.DATASETS.TEST_SYNONYMS = False

    cfg.INPUT.FORMAT = "RGB"
    # Training: the shortest edge is resized to one of MIN_SIZE_TRAIN (0 = as it is), then a square of CROP_SIZE is cut.
    cfg.INPUT.MIN_SIZE_TRAIN = (384,)
    cfg.INPUT.CROP_SIZE = 384
    # Smallest and largest factor of a random resize between the two, such as (0.5, 2.0); () = none.
    cfg.INPUT.SCALE_JITTER = ()
    # Probability that a crop is laid around a pixel of a class that is drawn from those in the image, all equally likely.
    cfg.INPUT.CROP_RARE = 0.0
    # A crop in which one class has more than this share of the labelled pixels is drawn again (ten times at most).
    cfg.INPUT.CROP_SINGLE_CATEGORY_MAX_AREA = 1.0
    # Mirror images from left to right; FLIP_VERTICAL: and from top to bottom.
    cfg.INPUT.FLIP = True
    cfg.INPUT.FLIP_VERTICAL = True
    cfg.INPUT.QUARTER_TURNS = False
    # Change colours: by "jitter" of brightness, contrast and saturation, of which GREY_SHARE of the images lose all colour;
    # COLOR_STRENGTH scales their amounts (1: 40, 40 and 50 %). Or as SSD does, and CAT-Seg with it: "ssd".
    cfg.INPUT.COLOR_JITTER = True
    cfg.INPUT.COLOR_RECIPE = "jitter"
    cfg.INPUT.COLOR_STRENGTH = 1.0
    cfg.INPUT.GREY_SHARE = 0.1


def _add_inference(cfg: CfgNode) -> None:
    # whole: one pass over the image; sliding: overlapping tiles at the image's own size; catseg: CAT-Seg's protocol
    # (everything squeezed to 640x640, four windows of 384 and the whole at 384).
    cfg.TEST.INFERENCE = "catseg"
    cfg.TEST.TILE = 384
    # Share of a tile that neighbours overlap by, 0 <= OVERLAP < 1.
    cfg.TEST.OVERLAP = 1.0 / 3.0
    # Those of MODEL.VISION_LANGUAGE.ROTATIONS that are read, the first of them included, from the same weights: one in place of
    # four costs a quarter of the encoder's time (docs/quality.md); [] = all. Training reads all. Of AerOSeg.
    cfg.TEST.ROTATIONS = []
    # Average the tiles with one view of the whole image at tile size.
    cfg.TEST.GLOBAL_VIEW = True
    # Evaluation: images a batch.
    cfg.TEST.IMS_PER_BATCH = 1
    # Classes that mean IoU runs over: present (in the ground truth; Detectron2 today), or union (those in ground truth or
    # prediction; Detectron2 0.6). The other one is reported beside it.
    cfg.TEST.MIOU = "present"
    # Constant subtracted from the logits of seen names for the figures "calibrated-..."; 0 = none (tools/calibrate.py).
    cfg.TEST.CALIBRATION = 0.0
    # Constants at which s-, u- and h-mIoU are tabled in report.json, all in one pass, for tools/calibrate.py.
    cfg.TEST.CALIBRATION_GRID = ()
    # Width of the bands of boundary IoU as a share of the image's diagonal; 0 leaves it out.
    cfg.TEST.BOUNDARY_RATIO = 0.02
    # How many of the best and of the worst images the report shows.
    cfg.TEST.REPORT_IMAGES = 4
    # The figure by which model_best.pth is chosen, of the first of DATASETS.TEST; mIoU where none or all are unseen.
    cfg.TEST.BEST_METRIC = "h-mIoU"
    # Images of each test set that are drawn (image, truth, prediction) at every evaluation during training.
    cfg.TEST.PICTURES = 4


def load_config(config_file: str, options: Sequence[Any] = ()) -> CfgNode:
    """Read a configuration file and ``KEY VALUE`` overrides into a frozen configuration.

    Args:
        config_file: a YAML file, or the bare name of a small model (``mini`` is AerOSeg's; ``mini/NAME`` any other).
        options: alternating keys and values, as after Detectron2's ``--opts``.

    Raises:
        ConfigError: the file does not exist or is no YAML, or a key is unknown or its value of the wrong type.
    """
    path = find_config(config_file)
    cfg = get_cfg()
    add_ovrs_config(cfg)
    origin = path
    try:
        refuse_aliases(path)
        cfg.merge_from_file(path, allow_unsafe=False)
        origin = "the overrides given with the command"
        cfg.merge_from_list(list(options))
    except KeyError as error:
        raise ConfigError(f"{origin}: unknown configuration key: {error.args[0]}; ovrs/config*.py list all") from error
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"{origin}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deep for a configuration") from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(f"{path}: not readable as plain YAML: {error}") from error
        raise
    cfg.freeze()
    return cfg
