# What type checkers know of the public names; himoe/__init__.py loads them when they are used.

from himoe.core.errors import InputError as InputError
from himoe.live.engine import stream as stream
from himoe.prepare.asynchrony import Asynchrony as Asynchrony
from himoe.prepare.asynchrony import SensorTiming as SensorTiming
from himoe.prepare.loading import Data as Data
from himoe.prepare.loading import load as load
from himoe.prepare.loading import make_windows as make_windows
from himoe.prepare.windowset import Windows as Windows
from himoe.prepare.windowset import folds as folds
from himoe.scoring.frames import score as score
from himoe.training.estimators import MFSTRNN as MFSTRNN
from himoe.training.estimators import BiLSTM as BiLSTM
from himoe.training.estimators import CAFNet as CAFNet
from himoe.training.estimators import FeaturesGBDT as FeaturesGBDT
from himoe.training.estimators import FeaturesRidge as FeaturesRidge
from himoe.training.estimators import FlexMoE as FlexMoE
from himoe.training.estimators import FuseMoE as FuseMoE
from himoe.training.estimators import HiMoE as HiMoE
from himoe.training.estimators import Husformer as Husformer
from himoe.training.estimators import IANet as IANet
from himoe.training.estimators import LateFusion as LateFusion
from himoe.training.estimators import Mean as Mean
from himoe.training.estimators import MoMKE as MoMKE
from himoe.training.estimators import MulT as MulT
from himoe.training.estimators import TACOFormer as TACOFormer
from himoe.training.every import predict_every as predict_every
from himoe.training.fitted import Fitted as Fitted
from himoe.training.fitted import load_model as load_model

__version__: str
PUBLIC: dict[str, str]
