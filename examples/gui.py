"""A window that shows the class of an image: Tk, Pillow and Sightline's classifier; no torch.

    python examples/gui.py                              the newest run in ./runs
    python examples/gui.py MODEL [IMAGE ...]            a run's folder or a model.onnx, and images
    python examples/gui.py --runs sightline-demo/runs   the newest run of ``sightline demo``

The arrow keys walk through images that were opened together.
"""

from __future__ import annotations

import argparse
import tkinter as tk
from pathlib import Path
from tkinter import filedialog, font, ttk

from PIL import Image, ImageOps, ImageTk

import sightline
from sightline.pixels.decode import decode_image

SIDE = 400  # of the square that shows the image, in pixels
BARS = 10
PAPER, INK, FAINT, TRACK, BLUE, RED = "#ffffff", "#1f2430", "#6b7280", "#eceff4", "#3b6fd4", "#b3261e"


class Window(tk.Tk):
    """The image on the left, the prediction on the right; takes what ``sightline.load`` takes."""

    def __init__(self, model: str = "latest", runs: str = "runs") -> None:
        super().__init__()
        self.title("Sightline")
        self.paths: list[str] = []
        self.position = 0
        self._set_looks()
        self._build()
        try:
            self.classifier = sightline.load(model, runs=runs)
        except sightline.SightlineError as error:
            self.open_button.state(["disabled"])
            self._explain("No classifier", f"{error.message}\n\nWhat to do: {error.cure}")
        else:
            self._explain("Open an image", f"{self.classifier.bundle.model}, {len(self.classifier.classes)} classes")

    def choose(self) -> None:
        """Ask for images and show the first."""
        self.show_all(list(filedialog.askopenfilenames(parent=self, title="Open images")))

    def show_all(self, paths: list[str]) -> None:
        """Show the first of some images; the arrow keys show the others."""
        if paths:
            self.paths, self.position = paths, 0
            self.step(0)

    def step(self, by: int) -> None:
        """Go forward or back through the images."""
        if self.paths and self.open_button.instate(["!disabled"]):
            self.position = (self.position + by) % len(self.paths)
            self.show(self.paths[self.position])

    def show(self, path: str | Path) -> None:
        """Show an image and its classes, or why it can't be read."""
        said = self.classifier.predict(path)[0]
        place = f"   {self.position + 1} of {len(self.paths)}" if len(self.paths) > 1 else ""
        self.name["text"] = shorten(Path(path).name, 36) + place
        self.frame.delete("all")
        if said.error:
            self._explain("Can't be read", said.error, color=RED)
            return
        # Decoded as the classifier sees it: upright, transparency on white.
        self._hang(Image.fromarray(decode_image(path)))
        title = f"unknown: like {said.label}" if said.unknown else f"{said.label}"
        self._explain(title, f"{said.confidence:.1%}", color=BLUE)
        for row, (name, probability) in enumerate(said.top[:BARS]):
            self._add_bar(row, name, probability)

    def _set_looks(self) -> None:
        """Choose fonts and colours; font sizes are points, so that they follow the screen."""
        family = font.nametofont("TkDefaultFont").actual("family")
        style = ttk.Style(self)
        style.theme_use("clam")
        style.configure(".", background=PAPER, foreground=INK, font=(family, 11))
        style.configure("Title.TLabel", font=(family, 22, "bold"))
        style.configure("Faint.TLabel", foreground=FAINT)
        style.configure("TButton", padding=(16, 8), background=BLUE, foreground=PAPER, borderwidth=0)
        style.map("TButton", background=[("disabled", TRACK), ("active", INK)], foreground=[("disabled", FAINT)])

    def _build(self) -> None:
        page = ttk.Frame(self, padding=24)
        page.pack(fill="both", expand=True)
        page.columnconfigure(1, weight=1, minsize=370)
        self.open_button = ttk.Button(page, text="Open image...", command=self.choose)
        self.open_button.grid(row=0, column=0, sticky="w", pady=(0, 16))
        self.name = ttk.Label(page, style="Faint.TLabel")
        self.name.grid(row=0, column=1, sticky="e", pady=(0, 16))
        self.frame = tk.Canvas(page, width=SIDE, height=SIDE, background=TRACK, highlightthickness=0)
        self.frame.grid(row=1, column=0, sticky="n")
        side = ttk.Frame(page, padding=(28, 0, 0, 0))
        side.grid(row=1, column=1, sticky="new")
        side.columnconfigure(0, weight=1)
        self.label = ttk.Label(side, style="Title.TLabel", wraplength=330)
        self.label.grid(row=0, sticky="w")
        self.detail = ttk.Label(side, style="Faint.TLabel", wraplength=330)
        self.detail.grid(row=1, sticky="w", pady=(2, 16))
        self.bars = ttk.Frame(side)
        self.bars.grid(row=2, sticky="ew")
        self.bars.columnconfigure(1, weight=1)
        self.bind("<Left>", lambda _: self.step(-1))
        self.bind("<Right>", lambda _: self.step(1))

    def _explain(self, title: str, detail: str, color: str = INK) -> None:
        """Put two texts on the right and take the bars away."""
        for child in self.bars.winfo_children():
            child.destroy()
        self.label.configure(text=title, foreground=color)
        self.detail.configure(text=detail)

    def _add_bar(self, row: int, name: str, probability: float) -> None:
        ttk.Label(self.bars, text=shorten(name, 16)).grid(row=row, column=0, sticky="w", pady=3)
        track = tk.Frame(self.bars, background=TRACK, height=14)
        track.grid(row=row, column=1, sticky="ew", padx=12)
        tk.Frame(track, background=BLUE).place(relwidth=probability, relheight=1)
        ttk.Label(self.bars, text=f"{probability:.1%}", anchor="e", width=6).grid(row=row, column=2)

    def _hang(self, image: Image.Image) -> None:
        """Fit the image into its frame; tiny ones keep their pixels."""
        resample = Image.Resampling.NEAREST if max(image.size) < SIDE // 4 else Image.Resampling.LANCZOS
        self.photo = ImageTk.PhotoImage(ImageOps.contain(image, (SIDE, SIDE), resample), master=self)
        self.frame.create_image(SIDE // 2, SIDE // 2, image=self.photo)


def shorten(text: str, most: int) -> str:
    """Return a text of at most so many characters; a name keeps its end."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - most // 2 + 1 :]}"


def main() -> None:
    """Read the command line and show the window."""
    parser = argparse.ArgumentParser(description="Show what a Sightline classifier says about images.")
    parser.add_argument("model", nargs="?", default="latest", help="a run, a model.onnx, or latest (the default)")
    parser.add_argument("images", nargs="*", help="images to begin with")
    parser.add_argument("--runs", default="runs", help="folder that holds runs (default: runs)")
    given = parser.parse_intermixed_args()
    window = Window(given.model, given.runs)
    window.show_all(given.images)
    window.mainloop()


if __name__ == "__main__":
    main()
