"""Sound devices: a microphone to iterate over, and a speaker that knows what was heard.

They need the extra ``audio`` (sounddevice and miniaudio), which is loaded when a device is opened; a ``VirtualDevice``
needs nothing. The rooms, and an order to read them in::

    speaker     Speaker, Heard, Watch; on playlist (what is to be played) and playhead (what was heard)
    microphone  Microphone
    opened      what both have in common
    choice      devices; which device is meant, on which system
    system      what a system of devices has to offer: Device
    portaudio   by sounddevice; alsa keeps the noise of a machine without sound off the terminal
    miniaudio   by miniaudio, where PortAudio is missing
    virtual     VirtualDevice
"""

from rtsync.devices.choice import DeviceChoice, devices
from rtsync.devices.microphone import Microphone
from rtsync.devices.speaker import Heard, Sounding, Speaker, Watch
from rtsync.devices.system import Device
from rtsync.devices.virtual import VirtualDevice
from rtsync.vocabulary.errors import DeviceFailed

__all__ = [
    "Device",
    "DeviceChoice",
    "DeviceFailed",
    "Heard",
    "Microphone",
    "Sounding",
    "Speaker",
    "VirtualDevice",
    "Watch",
    "devices",
]
