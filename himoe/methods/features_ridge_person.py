"""Ridge regression on features × person: what all people share, and each known person's own map shrunk to it."""

from __future__ import annotations

from himoe.methods.features_ridge import NO_OWN_PART, FeaturesRidge


class FeaturesRidgePerson(FeaturesRidge):
    """A linear map of the features per person whom training knows; for everybody else the shared one.

    Ridge regression on features and on their products with indicators of the people, each part with a penalty of its
    own. Without validation rows nobody has an own part.
    """

    own_penalties = (*NO_OWN_PART, *(10.0**k for k in range(2, -4, -1)))


METHOD = FeaturesRidgePerson
