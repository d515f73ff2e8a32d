"""One function for each kind of summary: from data to TensorBoard's message.

The messages and the plugins' metadata are those of the ``tensorboard`` package.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import dispatchtorch as torch

from .arrays import as_image, grid, host_array, library, to_uint8
from .arrays import scalar as _number

__all__ = [
    "audio",
    "custom_scalars",
    "hparams",
    "histogram",
    "histogram_raw",
    "image",
    "image_boxes",
    "mesh",
    "pr_curve",
    "pr_curve_raw",
    "scalar",
    "tensor_proto",
    "text",
    "video",
]

_MAX_THRESHOLDS = 127  # what the plugin can keep in its metadata
_TINY = 1e-7

# dtype: (name of TensorBoard's type, field of the message, view to take the values in)
_TENSOR_TYPES = {
    torch.float16: ("DT_HALF", "half_val", torch.int16),
    torch.bfloat16: ("DT_BFLOAT16", "half_val", torch.int16),
    torch.float32: ("DT_FLOAT", "float_val", None),
    torch.float64: ("DT_DOUBLE", "double_val", None),
    torch.int8: ("DT_INT8", "int_val", None),
    torch.uint8: ("DT_UINT8", "int_val", None),
    torch.int16: ("DT_INT16", "int_val", None),
    torch.int32: ("DT_INT32", "int_val", None),
    torch.int64: ("DT_INT64", "int64_val", None),
    torch.bool: ("DT_BOOL", "bool_val", None),
    torch.complex64: ("DT_COMPLEX64", "scomplex_val", torch.float32),
    torch.complex128: ("DT_COMPLEX128", "dcomplex_val", torch.float64),
}


def _protos() -> Any:
    """The messages of summaries."""
    from tensorboard.compat.proto import summary_pb2

    return summary_pb2


def _summary(*values: dict[str, Any]) -> Any:
    kind = _protos().Summary
    return kind(value=[kind.Value(**fields) for fields in values])


def _metadata(plugin: str, content: bytes = b"") -> Any:
    kind = _protos().SummaryMetadata
    data = kind.PluginData(plugin_name=plugin, content=content)
    return kind(plugin_data=data)


def _tensor(dtype: str, shape: Sequence[int] | None = None, **values: Any) -> Any:
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    if shape is not None:
        dims = [TensorShapeProto.Dim(size=size) for size in shape]
        values["tensor_shape"] = TensorShapeProto(dim=dims)
    return TensorProto(dtype=dtype, **values)


def scalar(
    name: str, value: Any, new_style: bool = False, double_precision: bool = False
) -> Any:
    """One number; ``new_style`` writes it as a tensor, in double precision if asked."""
    value = _number(value)
    if not new_style:
        return _summary({"tag": name, "simple_value": value})
    if double_precision:
        tensor = _tensor("DT_DOUBLE", double_val=[value])
    else:
        tensor = _tensor("DT_FLOAT", float_val=[value])
    return _summary({"tag": name, "tensor": tensor, "metadata": _metadata("scalars")})


def tensor_proto(tag: str, tensor: torch.Tensor) -> Any:
    """All elements of a tensor."""
    if tensor.numel() * tensor.element_size() >= 1 << 31:
        raise ValueError(
            f"tensor is bigger than protocol buffer's hard limit of 2GB in size: {tag}"
        )
    if tensor.dtype not in _TENSOR_TYPES:
        raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
    name, field, view = _TENSOR_TYPES[tensor.dtype]
    flat = tensor.detach().contiguous().reshape(-1)
    values = (flat if view is None else flat.view(view)).tolist()
    if field == "half_val":
        values = [bits & 0xFFFF for bits in values]
    message = _tensor(name, tensor.shape, **{field: values})
    return _summary({"tag": tag, "tensor": message, "metadata": _metadata("tensor")})


# Histograms -----------------------------------------------------------------------


def default_bins() -> list[float]:
    """Edges that grow by a tenth, from 1e-12 to 1e20, and the same below zero."""
    upper = [1e-12]
    while (edge := upper[-1] * 1.1) < 1e20:
        upper.append(edge)
    return [*(-edge for edge in reversed(upper)), 0.0, *upper]


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Any:
    """The distribution of values.

    Args:
        bins: edges, a number, or the name of one of NumPy's rules.
        max_bins: merges neighbours until there are no more than this.
    """
    values = host_array(values)
    if values.size == 0:
        raise ValueError("The input has no element.")
    values = values.reshape(-1).astype("float64")
    xp = library(values)
    counts, edges = xp.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        starts = range(0, len(counts), step)
        counts = xp.add.reduceat(counts, starts)
        edges = xp.concatenate([edges[:-1:step], edges[-1:]])
    (filled,) = counts.nonzero()
    if filled.size == 0:
        raise ValueError("The histogram is empty, please file a bug report.")
    first, last = filled[0], filled[-1] + 1
    return histogram_raw(
        name,
        values.min(),
        values.max(),
        len(values),
        values.sum(),
        values.dot(values),
        edges[first : last + 1],
        # All below the first limit: none.
        [0.0, *counts[first:last].tolist()],
    )


def histogram_raw(
    name: str,
    min: Any,
    max: Any,
    num: Any,
    sum: Any,
    sum_squares: Any,
    bucket_limits: Any,
    bucket_counts: Any,
) -> Any:
    """A distribution that was counted elsewhere."""
    histo = _protos().HistogramProto(
        min=min,
        max=max,
        num=num,
        sum=sum,
        sum_squares=sum_squares,
        bucket_limit=bucket_limits,
        bucket=bucket_counts,
    )
    return _summary({"tag": name, "histo": histo})


# Pictures and sound ---------------------------------------------------------------


def _image(tag: str, encoded: bytes, shape: Sequence[int]) -> Any:
    height, width, channels = shape
    message = _protos().Summary.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=encoded,
    )
    return _summary({"tag": tag, "image": message})


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Any:
    """A picture, or several in a grid."""
    pixels = to_uint8(as_image(tensor, dataformats))
    return _image(tag, _png(_picture(pixels), pixels.shape, rescale), pixels.shape)


def image_boxes(
    tag: str,
    tensor_image: Any,
    tensor_boxes: Any,
    rescale: float = 1,
    dataformats: str = "CHW",
    labels: list[str] | None = None,
) -> Any:
    """A picture with boxes ``(left, top, right, bottom)`` and their labels on it."""
    from PIL import ImageDraw, ImageFont

    pixels = to_uint8(as_image(tensor_image, dataformats))
    picture = _picture(pixels)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default()
    for i, (left, top, right, bottom) in enumerate(host_array(tensor_boxes).tolist()):
        corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
        draw.line([*corners, corners[0]], width=2, fill="Red")
        if labels:
            _, _, width, height = font.getbbox(labels[i])
            margin = math.ceil(0.05 * height)
            area = [(left, bottom - height), (left + width, bottom)]
            draw.rectangle(area, fill="Red")
            place = (left + margin, bottom - height + margin)
            draw.text(place, labels[i], fill="black", font=font)
    return _image(tag, _png(picture, pixels.shape, rescale), pixels.shape)


def _picture(pixels: Any) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _png(picture: Any, shape: Sequence[int], rescale: float) -> bytes:
    from PIL import Image

    if rescale != 1:
        size = (int(shape[1] * rescale), int(shape[0] * rescale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def video(tag: str, tensor: Any, fps: float = 4) -> Any:
    """Moving pictures (number, time, channels, height, width) as an animated GIF."""
    array = host_array(tensor)
    if array.ndim != 5:
        raise AssertionError(f"a video has 5 dimensions, got {array.ndim}")
    columns = 1 << ((len(array) - 1).bit_length() + 1) // 2
    frames = [
        _picture(to_uint8(grid(frame.transpose(0, 2, 3, 1), columns)))
        for frame in array.swapaxes(0, 1)
    ]
    file = io.BytesIO()
    first, *rest = frames
    duration = round(1000 / fps)
    first.save(
        file,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=duration,
        loop=0,
    )
    return _image(
        tag, file.getvalue(), (first.height, first.width, len(first.getbands()))
    )


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Any:
    """A sound: one dimension, from -1 to 1."""
    import wave

    array = host_array(tensor).squeeze()
    if abs(array).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        array = array.clip(-1, 1)
    if array.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        sound.writeframes((array * 32767).astype("<i2").tobytes())
    message = _protos().Summary.Audio(
        sample_rate=sample_rate,
        num_channels=1,
        length_frames=len(array),
        encoded_audio_string=file.getvalue(),
        content_type="audio/wav",
    )
    return _summary({"tag": tag, "audio": message})


def text(tag: str, text: str) -> Any:
    """Text, which is shown as Markdown."""
    tensor = _tensor("DT_STRING", [1], string_val=[text.encode("utf_8")])
    return _summary(
        {"tag": f"{tag}/text_summary", "tensor": tensor, "metadata": _metadata("text")}
    )


# Plugins --------------------------------------------------------------------------


def pr_curve(
    tag: str,
    labels: Any,
    predictions: Any,
    num_thresholds: int = _MAX_THRESHOLDS,
    weights: Any = None,
) -> Any:
    """Precision and recall of ``predictions > threshold``, at even thresholds."""
    n = min(num_thresholds, _MAX_THRESHOLDS)
    weights = 1.0 if weights is None else weights
    labels, predictions = host_array(labels), host_array(predictions)
    xp = library(predictions)
    buckets = xp.floor(predictions * (n - 1)).astype("int32")
    labels = labels.astype("float64")

    def at_least(found: Any) -> Any:
        """How much of what was found lies above each of the thresholds."""
        counts = xp.histogram(buckets, bins=n, range=(0, n - 1), weights=found)[0]
        return counts[::-1].cumsum()[::-1]

    positive = at_least(labels * weights)
    negative = at_least((1.0 - labels) * weights)
    missed, spared = positive[0] - positive, negative[0] - negative
    precision = positive / xp.maximum(_TINY, positive + negative)
    recall = positive / xp.maximum(_TINY, positive + missed)
    return pr_curve_raw(tag, positive, negative, spared, missed, precision, recall, n)


def pr_curve_raw(
    tag: str,
    tp: Any,
    fp: Any,
    tn: Any,
    fn: Any,
    precision: Any,
    recall: Any,
    num_thresholds: int = _MAX_THRESHOLDS,
    weights: Any = None,
) -> Any:
    """Precision and recall that were computed elsewhere."""
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

    n = min(num_thresholds, _MAX_THRESHOLDS)
    content = PrCurvePluginData(version=0, num_thresholds=n).SerializeToString()
    rows = [list(row) for row in (tp, fp, tn, fn, precision, recall)]
    shape = (len(rows), len(rows[0]))
    tensor = _tensor("DT_FLOAT", shape, float_val=[v for row in rows for v in row])
    metadata = _metadata("pr_curves", content)
    return _summary({"tag": tag, "tensor": tensor, "metadata": metadata})


def custom_scalars(layout: dict[str, dict[str, Any]]) -> Any:
    """How scalars are put together in charts: ``{category: {title: (kind, tags)}}``."""
    from tensorboard.plugins.custom_scalar import layout_pb2 as proto

    def chart(title: str, kind: str, tags: list[str]) -> Any:
        if kind != "Margin":
            content = proto.MultilineChartContent(tag=tags)
            return proto.Chart(title=title, multiline=content)
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        value, lower, upper = tags
        series = proto.MarginChartContent.Series(value=value, lower=lower, upper=upper)
        content = proto.MarginChartContent(series=[series])
        return proto.Chart(title=title, margin=content)

    categories = [
        proto.Category(
            title=name,
            chart=[chart(title, *entry) for title, entry in charts.items()],
        )
        for name, charts in layout.items()
    ]
    encoded = proto.Layout(category=categories).SerializeToString()
    return _summary(
        {
            "tag": "custom_scalars__config__",
            "tensor": _tensor("DT_STRING", (), string_val=[encoded]),
            "metadata": _metadata("custom_scalars"),
        }
    )


def mesh(
    tag: str,
    vertices: torch.Tensor,
    colors: torch.Tensor | None,
    faces: torch.Tensor | None,
    config_dict: dict[str, Any] | None,
) -> Any:
    """Points in space (batch, points, 3), with colours, and triangles between them."""
    import json

    from tensorboard.plugins.mesh import metadata
    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData

    given = [
        (tensor, kind)
        for tensor, kind in (
            (vertices, MeshPluginData.VERTEX),
            (faces, MeshPluginData.FACE),
            (colors, MeshPluginData.COLOR),
        )
        if tensor is not None
    ]
    components = metadata.get_components_bitmask([kind for _, kind in given])
    values = []
    for tensor, kind in given:
        about = metadata.create_summary_metadata(
            tag,
            None,
            kind,
            components,
            tensor.shape,
            None,
            json_config=json.dumps(config_dict or {}, sort_keys=True),
        )
        numbers = tensor.reshape(-1).tolist()
        values.append(
            {
                "tag": metadata.get_instance_name(tag, kind),
                "tensor": _tensor("DT_FLOAT", tensor.shape, float_val=numbers),
                "metadata": about,
            }
        )
    return _summary(*values)


def hparams(
    hparam_dict: dict[str, Any],
    metric_dict: dict[str, Any],
    hparam_domain_discrete: dict[str, list[Any]] | None = None,
) -> tuple[Any, Any, Any]:
    """Three summaries: the experiment, a session's beginning, and its end."""
    if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
        raise TypeError("hparam_dict and metric_dict should be dictionary.")
    domains = hparam_domain_discrete or {}
    if not isinstance(domains, dict):
        raise TypeError("hparam_domain_discrete should be a dictionary.")
    for name, domain in domains.items():
        kind = type(hparam_dict.get(name))
        known = name in hparam_dict and isinstance(domain, list)
        if not known or not all(isinstance(value, kind) for value in domain):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same "
                f"type as hparam_dict[{name}]."
            )
    return _hparams_messages(hparam_dict, metric_dict, domains)


def _hparams_messages(
    hparam_dict: dict[str, Any],
    metric_dict: dict[str, Any],
    domains: dict[str, list[Any]],
) -> tuple[Any, Any, Any]:
    from google.protobuf.struct_pb2 import ListValue, Value
    from tensorboard.plugins.hparams import api_pb2 as api
    from tensorboard.plugins.hparams import plugin_data_pb2 as plugin

    start = plugin.SessionStartInfo()
    infos = []
    for name, value in hparam_dict.items():
        if value is None:
            continue
        field, kind, convert = _hparam_kind(value, api)
        setattr(start.hparams[name], field, convert(value))
        domain = None
        if name in domains:
            values = [Value(**{field: convert(v)}) for v in domains[name]]
            domain = ListValue(values=values)
        infos.append(api.HParamInfo(name=name, type=kind, domain_discrete=domain))
    metrics = [api.MetricInfo(name=api.MetricName(tag=name)) for name in metric_dict]
    experiment = api.Experiment(hparam_infos=infos, metric_infos=metrics)
    end = plugin.SessionEndInfo(status=api.Status.STATUS_SUCCESS)

    def wrap(tag: str, **content: Any) -> Any:
        data = plugin.HParamsPluginData(version=0, **content).SerializeToString()
        metadata = _metadata("hparams", data)
        return _summary({"tag": f"_hparams_/{tag}", "metadata": metadata})

    return (
        wrap("experiment", experiment=experiment),
        wrap("session_start_info", session_start_info=start),
        wrap("session_end_info", session_end_info=end),
    )


def _hparam_kind(value: Any, api: Any) -> tuple[str, Any, Callable[[Any], Any]]:
    if isinstance(value, (int, float)):
        return "number_value", api.DATA_TYPE_FLOAT64, float
    if isinstance(value, str):
        return "string_value", api.DATA_TYPE_STRING, str
    if isinstance(value, torch.Tensor):
        return "number_value", api.DATA_TYPE_FLOAT64, _number
    raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
