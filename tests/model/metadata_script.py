"""Writes and reads TFLite Metadata with TFLite Support, in its own environment (`.venv-metadata`).

It is not importable beside TensorFlow: it pins an old protobuf. Run as a script, JSON comes out:

    python tests/model/metadata_script.py write model.tflite described.tflite labels.txt
    python tests/model/metadata_script.py read described.tflite
"""

import json
import sys

import flatbuffers
from tflite_support import metadata
from tflite_support import metadata_schema_py_generated as schema


def write(source: str, target: str, labels: str) -> None:
    """Describes a model with one input and one output, as an image classifier's author would."""
    model = schema.ModelMetadataT()
    model.name, model.author, model.license = "classifier", "somebody", "Apache-2.0"
    options = schema.NormalizationOptionsT()
    options.mean, options.std = [127.5, 120.0, 110.0], [127.5, 64.0, 32.0]
    unit = schema.ProcessUnitT()
    unit.optionsType, unit.options = schema.ProcessUnitOptions.NormalizationOptions, options
    image = schema.TensorMetadataT()
    image.name, image.description = "image", "A picture."
    image.processUnits = [unit]
    image.stats = schema.StatsT()
    image.stats.max, image.stats.min = [255.0], [0.0]
    image.content = schema.ContentT()
    image.content.contentPropertiesType = schema.ContentProperties.ImageProperties
    image.content.contentProperties = schema.ImagePropertiesT()
    image.content.contentProperties.colorSpace = schema.ColorSpaceType.RGB
    file = schema.AssociatedFileT()
    file.name, file.description = labels.rsplit("/", 1)[-1], "What the classes are."
    file.type = schema.AssociatedFileType.TENSOR_AXIS_LABELS
    scores = schema.TensorMetadataT()
    scores.name, scores.description = "probability", "One for each class."
    scores.associatedFiles = [file]
    subgraph = schema.SubGraphMetadataT()
    subgraph.name = "main"
    subgraph.inputTensorMetadata, subgraph.outputTensorMetadata = [image], [scores]
    model.subgraphMetadata = [subgraph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), metadata.MetadataPopulator.METADATA_FILE_IDENTIFIER)
    with open(source, "rb") as stream:
        populator = metadata.MetadataPopulator.with_model_buffer(stream.read())
    populator.load_metadata_buffer(bytes(builder.Output()))
    populator.load_associated_files([labels])
    populator.populate()
    with open(target, "wb") as stream:
        stream.write(populator.get_model_buffer())


def read(path: str) -> None:
    """Prints the metadata and the associated files, once TFLite Support has accepted them."""
    with open(path, "rb") as stream:
        data = stream.read()
    displayer = metadata.MetadataDisplayer.with_model_buffer(data)
    names = displayer.get_packed_associated_file_list()
    contents = {name: displayer.get_associated_file_buffer(name).decode() for name in names}
    # The populator refuses metadata that does not fit the model's inputs and outputs.
    populator = metadata.MetadataPopulator.with_model_buffer(data)
    populator.load_metadata_buffer(displayer.get_metadata_buffer())
    described = json.loads(displayer.get_metadata_json())
    print(json.dumps({"metadata": described, "files": contents}))


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
