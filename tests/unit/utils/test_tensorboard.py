"""What the writer writes, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

import dispatchtorch as torch

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.util import tensor_util

from dispatchtorch.utils.tensorboard import FileWriter, SummaryWriter


@pytest.fixture
def writer(tmp_path):
    with SummaryWriter(str(tmp_path)) as opened:
        yield opened


def read(writer, folder=""):
    """TensorBoard's view of what was written."""
    writer.close()
    root = os.path.join(writer.log_dir, folder)
    sizes = {"images": 0, "histograms": 0, "tensors": 0, "audio": 0, "scalars": 0}
    return EventAccumulator(root, size_guidance=sizes).Reload()


def events(writer):
    writer.close()
    (path,) = (f for f in os.listdir(writer.log_dir) if "tfevents" in f)
    return list(LegacyEventFileLoader(os.path.join(writer.log_dir, path)).Load())


def picture(encoded):
    from PIL import Image

    return np.array(Image.open(io.BytesIO(encoded)))


def test_scalars(writer):
    values = [1, 2.5, torch.tensor(3.0), np.float32(4), torch.tensor([5]), True]
    for step, value in enumerate(values):
        writer.add_scalar("loss", value, step, walltime=100.0 + step)
    got = read(writer).Scalars("loss")
    assert [(e.step, e.value, e.wall_time) for e in got] == [
        (0, 1.0, 100.0),
        (1, 2.5, 101.0),
        (2, 3.0, 102.0),
        (3, 4.0, 103.0),
        (4, 5.0, 104.0),
        (5, 1.0, 105.0),
    ]


def test_a_scalar_has_one_element(writer):
    with pytest.raises(AssertionError, match="one element"):
        writer.add_scalar("loss", torch.ones(2))


def test_scalars_as_tensors_in_either_precision(writer):
    writer.add_scalar("single", 1 / 3, 1, new_style=True)
    writer.add_scalar("double", 1 / 3, 1, new_style=True, double_precision=True)
    data = read(writer)
    single, double = (
        tensor_util.make_ndarray(data.Tensors(tag)[0].tensor_proto)
        for tag in ("single", "double")
    )
    assert single == np.float32(1 / 3)
    assert double == 1 / 3


def test_several_scalars_are_runs_of_their_own(writer):
    writer.add_scalars("set/loss", {"train": 1.0, "test": torch.tensor(2.0)}, 3)
    assert read(writer, "set_loss_train").Scalars("set/loss")[0].value == 1.0
    assert read(writer, "set_loss_test").Scalars("set/loss")[0].value == 2.0


@pytest.mark.parametrize("bins", ["tensorflow", "auto", "sqrt", 7, [-9.0, 0.0, 9.0]])
def test_histograms_count_every_value(writer, bins):
    values = torch.linspace(-3, 4, 101)
    writer.add_histogram("h", values, 1, bins=bins)
    (event,) = read(writer).Histograms("h")
    histogram = event.histogram_value
    assert (histogram.min, histogram.max, histogram.num) == (-3.0, 4.0, 101)
    assert histogram.sum == pytest.approx(50.5, rel=1e-4)
    assert sum(histogram.bucket) == 101
    assert len(histogram.bucket) == len(histogram.bucket_limit)
    assert histogram.bucket[0] == 0


def test_a_histogram_can_be_limited_to_few_buckets(writer):
    writer.add_histogram("h", torch.linspace(-3, 4, 101), 1, bins=50, max_bins=6)
    histogram = read(writer).Histograms("h")[0].histogram_value
    assert sum(histogram.bucket) == 101
    assert len(histogram.bucket) <= 9


def test_histograms_that_cannot_be_made(writer):
    with pytest.raises(ValueError, match="no element"):
        writer.add_histogram("h", torch.empty(0))
    with pytest.raises(ValueError, match="histogram is empty"):
        writer.add_histogram("h", torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match="bucket_limits"):
        writer.add_histogram_raw("h", 0, 1, 1, 1, 1, [1.0], [1, 2])


@pytest.mark.parametrize("layout", ["CHW", "HWC", "WHC"])
def test_pictures_in_any_layout(writer, layout):
    image = torch.arange(60, dtype=torch.uint8).reshape(3, 4, 5)
    permuted = image.permute(["CHW".index(d) for d in layout])
    writer.add_image("i", permuted, 1, dataformats=layout)
    (event,) = read(writer).Images("i")
    assert (event.height, event.width) == (4, 5)
    assert (picture(event.encoded_image_string) == image.permute(1, 2, 0).numpy()).all()


def test_numbers_from_0_to_1_are_scaled_and_one_channel_is_grey(writer):
    writer.add_image("i", torch.tensor([[0.0, 0.5], [1.0, 2.0]]), dataformats="HW")
    got = picture(read(writer).Images("i")[0].encoded_image_string)
    assert got.shape == (2, 2, 3)
    assert got[..., 0].tolist() == [[0, 127], [255, 255]]


def test_several_pictures_make_a_grid(writer):
    images = (
        torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 3, 2, 2)
    )
    writer.add_images("i", images)
    got = picture(read(writer).Images("i")[0].encoded_image_string)
    assert got.shape == (4, 16, 3)
    assert got[::2, ::2, 0].tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [8, 9, 0, 0, 0, 0, 0, 0],
    ]


def test_pictures_of_another_layout_are_errors(writer):
    with pytest.raises(AssertionError, match="input format are different"):
        writer.add_image("i", torch.ones(2, 2))
    with pytest.raises(AssertionError, match="same dimension shorthand twice"):
        writer.add_image("i", torch.ones(1, 2, 2), dataformats="CCH")


def test_boxes_are_drawn_in_red_and_the_picture_can_grow(writer):
    box = torch.tensor([[5.0, 5.0, 15.0, 15.0]])
    writer.add_image_with_boxes("i", torch.zeros(3, 20, 20), box, rescale=2, labels="x")
    event = read(writer).Images("i")[0]
    assert (event.height, event.width) == (20, 20)
    got = picture(event.encoded_image_string)
    assert got.shape == (40, 40, 3)
    assert got[20, 10, 0] > 200
    assert got[2, 2].tolist() == [0, 0, 0]


def test_figures(writer):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    figures = [pyplot.figure(figsize=(1, 1), dpi=20) for _ in range(3)]
    writer.add_figure("one", figures[0])
    writer.add_figure("two", figures[1:], close=False)
    assert pyplot.get_fignums() == [f.number for f in figures[1:]]
    pyplot.close("all")
    data = read(writer)
    assert picture(data.Images("one")[0].encoded_image_string).shape == (20, 20, 3)
    assert picture(data.Images("two")[0].encoded_image_string).shape == (20, 40, 3)


def test_a_video_is_an_animated_gif(writer):
    from PIL import Image

    video = torch.zeros(1, 3, 3, 4, 4)
    video[0, 1] = 1
    writer.add_video("v", video, fps=10)
    event = read(writer).Images("v")[0]
    gif = Image.open(io.BytesIO(event.encoded_image_string))
    frames = []
    for i in range(gif.n_frames):
        gif.seek(i)
        frames.append(np.array(gif.convert("RGB")).max())
        assert gif.info["duration"] == 100
    assert frames == [0, 255, 0]


def test_a_sound_is_clipped(writer, capsys):
    import wave

    writer.add_audio("a", torch.tensor([0.0, 0.5, 2.0, -1.0]), sample_rate=8000)
    event = read(writer).Audio("a")[0]
    assert (event.sample_rate, event.length_frames) == (8000.0, 4)
    with wave.open(io.BytesIO(event.encoded_audio_string)) as sound:
        samples = np.frombuffer(sound.readframes(4), "<i2").tolist()
    assert samples == [0, 16383, 32767, -32767]
    assert "auto clipped" in capsys.readouterr().out


def test_text(writer):
    writer.add_text("notes", "**bold** é", 2)
    (event,) = read(writer).Tensors("notes/text_summary")
    assert event.step == 2
    assert event.tensor_proto.string_val[0].decode() == "**bold** é"


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "uint8", "bool", "complex64"]
)
def test_tensors(writer, dtype):
    tensor = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    writer.add_tensor("t", tensor)
    proto = read(writer).Tensors("t")[0].tensor_proto
    got = tensor_util.make_ndarray(proto)
    assert got.dtype.name == dtype
    assert got.tolist() == tensor.tolist()


def test_precision_and_recall(writer):
    labels = torch.tensor([0, 1, 1, 0])
    predictions = torch.tensor([0.1, 0.9, 0.4, 0.6])
    writer.add_pr_curve("pr", labels, predictions, 1, num_thresholds=5)
    proto = read(writer).Tensors("pr")[0].tensor_proto
    tp, fp, tn, fn, precision, recall = tensor_util.make_ndarray(proto)
    assert tp.tolist() == [2, 2, 1, 1, 0]
    assert fp.tolist() == [2, 1, 1, 0, 0]
    assert (tp + fn).tolist() == [2] * 5
    assert (fp + tn).tolist() == [2] * 5
    assert recall.tolist() == [1, 1, 0.5, 0.5, 0]
    assert precision[3] == 1


def test_hyperparameters_are_a_run_with_its_results(writer):
    from tensorboard.plugins.hparams import metadata

    writer.add_hparams(
        {"lr": 0.1, "name": "x", "on": True, "none": None, "t": torch.tensor(2.0)},
        {"accuracy": 0.5},
        hparam_domain_discrete={"name": ["x", "y"]},
        run_name="run",
        global_step=4,
    )
    data = read(writer, "run")
    assert data.Scalars("accuracy")[0].value == 0.5
    contents = data.PluginTagToContent("hparams")
    start = metadata.parse_session_start_info_plugin_data(
        contents["_hparams_/session_start_info"]
    )
    assert start.hparams["lr"].number_value == 0.1
    assert start.hparams["name"].string_value == "x"
    assert start.hparams["t"].number_value == 2.0
    assert set(start.hparams) == {"lr", "name", "on", "t"}
    experiment = metadata.parse_experiment_plugin_data(contents["_hparams_/experiment"])
    assert [m.name.tag for m in experiment.metric_infos] == ["accuracy"]


def test_wrong_hyperparameters(writer):
    with pytest.raises(TypeError, match="should be dictionary"):
        writer.add_hparams(3, {})
    with pytest.raises(ValueError, match="value should be one of"):
        writer.add_hparams({"a": [1]}, {})
    with pytest.raises(TypeError, match="list of same type"):
        writer.add_hparams({"a": 1}, {}, hparam_domain_discrete={"a": ["x"]})


def test_embeddings_are_files_that_the_projector_reads(writer, tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    points = torch.arange(12.0).reshape(4, 3)
    writer.add_embedding(
        points,
        metadata=[["a", 1], ["b", 2], ["c", 3], ["d", 4]],
        metadata_header=["name", "number"],
        label_img=torch.ones(4, 3, 2, 2),
        global_step=7,
        tag="a/b",
    )
    writer.add_embedding(points, tag="plain")
    text = (tmp_path / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, ProjectorConfig())
    first, second = config.embeddings
    assert (first.tensor_name, second.tensor_name) == ("a/b:00007", "plain:00000")
    rows = (tmp_path / first.tensor_path).read_text().splitlines()
    assert [[float(v) for v in row.split("\t")] for row in rows] == points.tolist()
    labels = (tmp_path / first.metadata_path).read_text().splitlines()
    assert labels[:2] == ["name\tnumber", "a\t1"]
    assert picture((tmp_path / first.sprite.image_path).read_bytes()).shape == (4, 4, 3)
    with pytest.raises(AssertionError, match="#labels should equal"):
        writer.add_embedding(points, metadata=["a"], tag="bad")


def test_meshes_and_charts(writer):
    from tensorboard.plugins.custom_scalar import layout_pb2

    writer.add_mesh(
        "m", torch.rand(1, 4, 3), faces=torch.zeros(1, 2, 3, dtype=torch.int64)
    )
    writer.add_custom_scalars(
        {"c": {"t": ["Multiline", ["a"]], "m": ["Margin", list("xyz")]}}
    )
    with pytest.raises(AssertionError, match="Expected 3 tags, got 2"):
        writer.add_custom_scalars_marginchart(["a", "b"])
    data = read(writer)
    vertices = tensor_util.make_ndarray(data.Tensors("m_VERTEX")[0].tensor_proto)
    assert vertices.shape == (1, 4, 3)
    assert data.Tensors("m_FACE")[0].tensor_proto.tensor_shape.dim[1].size == 2
    encoded = data.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    layout = layout_pb2.Layout.FromString(encoded)
    assert [chart.title for chart in layout.category[0].chart] == ["t", "m"]


def test_what_needs_a_tracer_is_not_supported(writer):
    for call in (writer.add_graph, writer.add_onnx_graph):
        with pytest.raises(NotImplementedError):
            call(None)


def test_purging_starts_a_session_at_the_step(tmp_path):
    with SummaryWriter(str(tmp_path), purge_step=5) as writer:
        writer.add_scalar("a", 1.0, 5)
    first, version, start, scalar = events(writer)
    assert first.file_version == version.file_version == "brain.Event:2"
    assert version.step == start.step == 5
    assert start.session_log.status == start.session_log.START
    assert scalar.summary.value[0].simple_value == 1.0


def test_a_closed_writer_goes_on_in_a_new_file(writer):
    writer.add_scalar("a", 1.0, 1)
    writer.close()
    writer.add_scalar("a", 2.0, 2)
    assert [e.value for e in read(writer).Scalars("a")] == [1.0, 2.0]


def test_the_default_folder_tells_the_time_and_the_comment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_note", filename_suffix=".end") as writer:
        pass
    assert os.path.dirname(writer.get_logdir()) == "runs"
    assert writer.get_logdir().endswith("_note")
    (name,) = os.listdir(writer.get_logdir())
    assert name.endswith(".end")


def test_file_writer_writes_events_of_its_own(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event

    writer = FileWriter(str(tmp_path))
    writer.add_event(Event(file_version="x"), step=3, walltime=2.0)
    writer.close()
    assert writer.get_logdir() == str(tmp_path)
    (path,) = tmp_path.iterdir()
    event = list(LegacyEventFileLoader(str(path)).Load())[-1]
    assert (event.step, event.wall_time, event.file_version) == (3, 2.0, "x")
