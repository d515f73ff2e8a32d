"""Writers of event files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Self

import dispatchtorch as torch

from . import summary as make
from .arrays import library

__all__ = ["FileWriter", "SummaryWriter"]


class FileWriter:
    """Writes summaries to one event file in ``log_dir``.

    Args:
        log_dir: the folder; it is made if it isn't there.
        max_queue: how many events may wait before they are written.
        flush_secs: how long they may wait.
        filename_suffix: at the end of the file's name.
    """

    def __init__(
        self,
        log_dir: Any,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.event_writer = EventFileWriter(
            str(log_dir), max_queue, flush_secs, filename_suffix
        )

    def get_logdir(self) -> str:
        """The folder with the event file."""
        return self.event_writer.get_logdir()

    def add_event(
        self, event: Any, step: Any = None, walltime: float | None = None
    ) -> None:
        """Writes an event with the given step and time, by default now."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(
        self, summary: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Writes a summary."""
        from tensorboard.compat.proto.event_pb2 import Event

        self.add_event(Event(summary=summary), global_step, walltime)

    def add_graph(self, graph_profile: Any, walltime: float | None = None) -> None:
        raise NotImplementedError("model graphs are not supported")

    def add_onnx_graph(self, graph: Any, walltime: float | None = None) -> None:
        raise NotImplementedError("ONNX graphs are not supported")

    def flush(self) -> None:
        """Writes out what waits."""
        self.event_writer.flush()

    def close(self) -> None:
        """Writes out what waits and closes the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Goes on after :meth:`close`, in a new file."""
        self.event_writer.reopen()


class SummaryWriter:
    """Writes what TensorBoard shows. Follows ``torch.utils.tensorboard``.

    In all methods ``tag`` is the name to show it under, ``global_step`` the step that
    it belongs to, and ``walltime`` the time, by default now.

    Args:
        log_dir: where to write, by default a new folder ``runs/<time>_<host>``.
        comment: at the end of the default folder's name.
        purge_step: tells TensorBoard to drop everything from this step on.
        max_queue, flush_secs, filename_suffix: as for :class:`FileWriter`.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            import socket

            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[Any, FileWriter] | None = None
        self._get_file_writer()
        self.default_bins = make.default_bins()

    def _open(self, log_dir: Any) -> FileWriter:
        """The writer for a folder."""
        if self.all_writers is None:
            self.all_writers = {}
        if log_dir not in self.all_writers:
            self.all_writers[log_dir] = FileWriter(
                log_dir, self.max_queue, self.flush_secs, self.filename_suffix
            )
        return self.all_writers[log_dir]

    def _get_file_writer(self) -> FileWriter:
        if self.file_writer is None:
            self.file_writer = self._open(self.log_dir)
            if self.purge_step is not None:
                from tensorboard.compat.proto.event_pb2 import Event, SessionLog

                step, self.purge_step = self.purge_step, None
                started = SessionLog(status=SessionLog.START)
                version = Event(step=step, file_version="brain.Event:2")
                self.file_writer.add_event(version)
                self.file_writer.add_event(Event(step=step, session_log=started))
        return self.file_writer

    def get_logdir(self) -> Any:
        """The folder that is written to."""
        return self.log_dir

    def _add(self, summary: Any, step: Any, walltime: float | None) -> None:
        self._get_file_writer().add_summary(summary, step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Hyperparameters and the results that they led to, as a run of its own.

        Args:
            hparam_domain_discrete: all values that a hyperparameter can have.
            run_name: the run's folder, by default the time.
        """
        summaries = make.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self.log_dir, run_name or str(time.time()))
        with SummaryWriter(log_dir=folder) as run:
            for summary in summaries:
                run._add(summary, global_step, None)
            for name, value in metric_dict.items():
                run.add_scalar(name, value, global_step)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number. ``new_style`` stores a tensor, maybe in ``double_precision``."""
        summary = make.scalar(tag, scalar_value, new_style, double_precision)
        self._add(summary, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers for one chart; each is a run of its own."""
        walltime = time.time() if walltime is None else walltime
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            summary = make.scalar(main_tag, value)
            self._open(folder).add_summary(summary, global_step, walltime)

    def add_tensor(
        self,
        tag: str,
        tensor: torch.Tensor,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """All elements of a tensor."""
        self._add(make.tensor_proto(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """The distribution of the elements of ``values``.

        ``bins`` are edges, a number, ``"tensorflow"`` or one of NumPy's rules.
        """
        if isinstance(bins, str) and bins == "tensorflow":
            bins = self.default_bins
        summary = make.histogram(tag, values, bins, max_bins)
        self._add(summary, global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: Any,
        max: Any,
        num: Any,
        sum: Any,
        sum_squares: Any,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A distribution that is counted already.

        Args:
            min, max, num, sum, sum_squares: of the values.
            bucket_limits: upper limits of the buckets, which start at minus infinity.
            bucket_counts: how many values are in each.
        """
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError(
                "len(bucket_limits) != len(bucket_counts), see the document."
            )
        summary = make.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._add(summary, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture, of bytes or of numbers from 0 to 1.

        ``dataformats`` names the dimensions: channels, height, width.
        """
        summary = make.image(tag, img_tensor, dataformats=dataformats)
        self._add(summary, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures, or a list of them, in a grid; see :meth:`add_image`."""
        if isinstance(img_tensor, list):
            img_tensor = torch.stack([torch.as_tensor(image) for image in img_tensor])
        summary = make.image(tag, img_tensor, dataformats=dataformats)
        self._add(summary, global_step, walltime)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: str | list[str] | None = None,
    ) -> None:
        """A picture with boxes on it.

        Args:
            box_tensor: one box a row: left, top, right, bottom.
            rescale: enlarges the picture.
            labels: one for each box.
        """
        labels = [labels] if isinstance(labels, str) else labels
        if labels is not None and len(labels) != box_tensor.shape[0]:
            labels = None
        summary = make.image_boxes(
            tag, img_tensor, box_tensor, rescale, dataformats, labels
        )
        self._add(summary, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of Matplotlib, or a list of them; ``close`` closes them."""
        if isinstance(figure, list):
            images = [_render(one, close) for one in figure]
            stacked = library(images[0]).stack(images)
            self.add_images(tag, stacked, global_step, walltime, dataformats="NHWC")
        else:
            image = _render(figure, close)
            self.add_image(tag, image, global_step, walltime, dataformats="HWC")

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Moving pictures (number, time, channels, height, width), as a GIF."""
        self._add(make.video(tag, vid_tensor, fps), global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """A sound: one dimension, from -1 to 1."""
        self._add(make.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Text, which is shown as Markdown."""
        self._add(make.text(tag, text_string), global_step, walltime)

    def add_onnx_graph(self, prototxt: Any) -> None:
        raise NotImplementedError("ONNX graphs are not supported")

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        raise NotImplementedError("add_graph needs a tracer for models")

    @staticmethod
    def _encode(rawstr: str) -> str:
        """A tag as the name of a folder."""
        for char in "%/\\":
            rawstr = rawstr.replace(char, f"%{ord(char):02x}")
        return rawstr

    def add_embedding(
        self,
        mat: Any,
        metadata: Sequence[Any] | None = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:
        """Points for the projector, one a row of ``mat``.

        Args:
            metadata: a label for each, or several under ``metadata_header``.
            label_img: a picture for each: (number, channels, height, width).
        """
        from .embedding import write_embedding

        step = f"{int(global_step or 0):05d}"
        folder = f"{step}/{self._encode(tag)}"
        write_embedding(
            str(self._get_file_writer().get_logdir()),
            folder,
            f"{tag}:{step}",
            mat,
            metadata,
            metadata_header,
            label_img,
        )

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall of binary ``predictions`` from 0 to 1."""
        summary = make.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._add(summary, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall, computed already for each threshold."""
        summary = make.pr_curve_raw(
            tag,
            true_positive_counts,
            false_positive_counts,
            true_negative_counts,
            false_negative_counts,
            precision,
            recall,
            num_thresholds,
            weights,
        )
        self._add(summary, global_step, walltime)

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A chart with one line for each of ``tags``."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A chart of a value between a lower and an upper one, which are the tags."""
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_custom_scalars(self, layout: dict[str, dict[str, Any]]) -> None:
        """Charts as ``{category: {title: [kind, tags]}}``.

        ``kind`` is ``"Multiline"`` or ``"Margin"``. To be called once.
        """
        self._add(make.custom_scalars(layout), None, None)

    def add_mesh(
        self,
        tag: str,
        vertices: torch.Tensor,
        colors: torch.Tensor | None = None,
        faces: torch.Tensor | None = None,
        config_dict: dict[str, Any] | None = None,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Points in space, or a surface.

        Args:
            vertices: (batch, points, 3).
            colors: (batch, points, 3), from 0 to 255.
            faces: (batch, triangles, 3), numbers of points.
            config_dict: settings for ThreeJS.
        """
        summary = make.mesh(tag, vertices, colors, faces, config_dict)
        self._add(summary, global_step, walltime)

    def flush(self) -> None:
        """Writes out what waits."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Writes out what waits and closes the files."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _render(figure: Any, close: bool) -> Any:
    """A Matplotlib figure as an array (height, width, 3)."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height(physical=True)
    pixels = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    if close:
        pyplot.close(figure)
    return pixels.reshape(height, width, 4)[..., :3].numpy()
