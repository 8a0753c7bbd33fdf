"""Runs SavedModels through TensorFlow's C API, as TensorFlow Serving does in C++: no Python of TensorFlow is imported.

python c_session.py LIBRARY JOBS RESULTS: JOBS is a pickle of [(folder, [(feeds, fetches), ...]), ...], feeds being
{tensor name: array} and fetches [tensor name, ...]; RESULTS is one of [[arrays or the message of an error, ...], ...].
"""

import ctypes
import pickle
import sys

import numpy as np

KINDS = {np.dtype(np.float32): 1, np.dtype(np.int32): 3, np.dtype(object): 7}  # of TF_DataType; 7 is a string
TYPES = {code: kind for kind, code in KINDS.items()}
STRING = 24  # bytes of a TF_TString


class Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p))


class Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def opened(path):
    """The library, every function of which returns a pointer unless it is said otherwise."""
    library = ctypes.CDLL(path)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name in ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName"):
        getattr(library, f"TF_{name}").restype = pointer
    for name in ("AllocateTensor", "TensorData", "StringGetDataPointer"):
        getattr(library, f"TF_{name}").restype = pointer
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_StringGetSize.restype = library.TF_TensorByteSize.restype = size
    library.TF_Dim.restype = ctypes.c_int64
    library.TF_Dim.argtypes = [pointer, ctypes.c_int]
    library.TF_AllocateTensor.argtypes = [ctypes.c_int, pointer, ctypes.c_int, size]
    library.TF_StringCopy.argtypes = [pointer, ctypes.c_char_p, size]
    return library


class Session:
    """A SavedModel, loaded; `tf` is the library."""

    def __init__(self, tf, folder):
        self.tf, self.status, self.graph = tf, pointer(tf.TF_NewStatus()), pointer(tf.TF_NewGraph())
        options, tags = pointer(tf.TF_NewSessionOptions()), (ctypes.c_char_p * 1)(b"serve")
        self.session = pointer(
            tf.TF_LoadSessionFromSavedModel(options, None, folder.encode(), tags, 1, self.graph, None, self.status)
        )
        self.check()

    def check(self):
        if self.tf.TF_GetCode(self.status):
            raise RuntimeError(f"{self.tf.TF_GetCode(self.status)}: {self.tf.TF_Message(self.status).decode()}")

    def run(self, feeds, fetches):
        tensors = (ctypes.c_void_p * len(feeds))(*[self.tensor(np.asarray(array)) for array in feeds.values()])
        found = (ctypes.c_void_p * len(fetches))()
        places = [(Output * len(names))(*map(self.place, names)) for names in (feeds, fetches)]
        run = (places[0], tensors, len(feeds), places[1], found, len(fetches), None, 0, None, self.status)
        self.tf.TF_SessionRun(self.session, None, *run)
        self.check()
        return [self.array(pointer(tensor)) for tensor in found]

    def place(self, name):
        operation, _, index = name.partition(":")
        found = self.tf.TF_GraphOperationByName(self.graph, operation.encode())
        assert found, name
        return Output(found, int(index))

    def tensor(self, array):
        kind, text = KINDS[array.dtype], array.dtype == object
        size, dims = array.size * (STRING if text else array.itemsize), (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self.tf.TF_AllocateTensor(kind, dims, array.ndim, size)
        data = self.tf.TF_TensorData(pointer(tensor))
        if not text:
            ctypes.memmove(data, np.ascontiguousarray(array).tobytes(), size)
        for k, item in enumerate(array.ravel() if text else ()):
            place = pointer(data + k * STRING)
            self.tf.TF_StringInit(place)
            self.tf.TF_StringCopy(place, item, len(item))
        return tensor

    def array(self, tensor):
        shape = [self.tf.TF_Dim(tensor, k) for k in range(self.tf.TF_NumDims(tensor))]
        kind, data = TYPES[self.tf.TF_TensorType(tensor)], self.tf.TF_TensorData(tensor)
        if kind != np.dtype(object):
            return np.frombuffer(ctypes.string_at(data, self.tf.TF_TensorByteSize(tensor)), kind).reshape(shape)
        places = [pointer(data + k * STRING) for k in range(int(np.prod(shape)))]
        items = [ctypes.string_at(self.tf.TF_StringGetDataPointer(p), self.tf.TF_StringGetSize(p)) for p in places]
        return np.array(items, object).reshape(shape)


def pointer(address):
    return ctypes.c_void_p(address)


def main(library, jobs, results):
    tf, answers = opened(library), []
    with open(jobs, "rb") as file:
        wanted = pickle.load(file)
    for folder, calls in wanted:
        session = Session(tf, folder)
        answers.append([])
        for feeds, fetches in calls:
            try:
                answers[-1].append(session.run(feeds, fetches))
            except RuntimeError as error:
                answers[-1].append(str(error))
    assert "tensorflow" not in sys.modules
    with open(results, "wb") as file:
        pickle.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
