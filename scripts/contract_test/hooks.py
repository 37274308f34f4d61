"""What JSON Schema cannot say: that a string is a picture. schemathesis reads this file (`hooks` in schemathesis.toml)."""

import base64

import schemathesis
from docker_test import pictures
from hypothesis import strategies as st
from schemathesis.transport.serialization import Binary

# PNGs of several sizes: gray, and one of 16 bits with transparency.
FILES = [pictures.png(width, height, width / 7) for width, height in [(1, 1), (3, 2), (48, 48), (64, 21), (97, 130)]] + [pictures.deep_png(20, 30)]
PICTURES = st.sampled_from(FILES)

schemathesis.openapi.format("picture", PICTURES.map(Binary))
schemathesis.openapi.format("picture-base64", PICTURES.map(lambda file: base64.b64encode(file).decode()))
for media_type in ["image/*", "image/png", "image/jpeg", "image/gif"]:
    schemathesis.openapi.media_type(media_type, PICTURES)


@schemathesis.hook
def before_load_schema(context: object, raw_schema: dict) -> None:
    """Strings that are pictures are drawn from pictures; what is no string, or none at all, is still sent."""
    schemas = raw_schema["components"]["schemas"]
    schemas["PictureBytes"] = schemas["PicturePart"] = {"type": "string", "format": "picture"}
    schemas["PictureBase64"] = {"type": "string", "format": "picture-base64"}
    schemas["OnePictureJson"]["properties"]["image"].pop("minLength", None)
    # Among several, what is no picture is answered in its place.
    schemas["ManyPicturesJson"]["properties"]["images"]["items"] = {"anyOf": [{"type": "string", "format": "picture-base64"}, {"type": "string"}]}


@schemathesis.deserializer("application/octet-stream")
def tensor(context: object, response: schemathesis.Response) -> str:
    """A byte a character."""
    return response.content.decode("latin-1")
