"""Ridge regression on features × person: what all people share, and each known person's own map shrunk to it."""

from himoe.models.methods._ridge import FeaturesRidgePerson

METHOD = FeaturesRidgePerson
