"""Segment nuclei of the sample stack from one click each, without the panel.

A notebook of cells: run it in napari's console, in an editor that knows ``# %%``, or as a script.
"""

# %% The stack, and a click in the middle of each of its three largest nuclei of one slice
import numpy as np
from napari.layers import Image, Points
from scipy import ndimage

from napari_sam2.samples import nuclei_stack
from napari_sam2.widgets.segment_stack import segment_stack

SHAPE = (24, 192, 192)
sample = nuclei_stack(shape=SHAPE)
image = Image(sample.image, name="nuclei", scale=sample.scale)

z = SHAPE[0] // 2
sizes = np.bincount(sample.labels[z].ravel())
largest = [number for number in sizes[1:].argsort()[::-1][:3] + 1 if sizes[number]]
clicks = [(z, *ndimage.center_of_mass(sample.labels[z] == number)) for number in largest]
points = Points(clicks, name="clicks", scale=sample.scale)

# %% Every click is an object; masks travel both ways from its slice
labels = segment_stack(image, points)
voxel = float(np.prod(sample.scale))
for number in np.unique(labels.data)[1:]:
    volume = (labels.data == number).sum() * voxel
    slices = (labels.data == number).any(axis=(1, 2)).sum()
    print(f"object {number}: {volume:.0f} cubic micrometres in {slices} slices")

# %% What came of it is a prompt like any other: follow the objects of one slice only forward
first = labels.data.copy()
first[z + 1 :] = 0
first[:z] = 0
again = segment_stack(image, labels=type(labels)(first, scale=sample.scale), direction="forward")

# %% Look at it
import napari

viewer = napari.Viewer()
for layer in (image, labels, points):
    viewer.add_layer(layer)
napari.run()
