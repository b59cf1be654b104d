"""libhutch.so through ctypes: found in the source tree's build folder, or installed.

Runs in: any.
"""
import ctypes
import os
from ctypes import POINTER, c_bool, c_char, c_char_p, c_int, c_int32, c_short, c_size_t, c_uint32, c_void_p

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


class ErrorStruct(ctypes.Structure):
    _fields_ = [("id", c_uint32), ("errnum", c_int32), ("layer", c_char * 16), ("step", c_char * 96), ("call", c_char * 32),
                ("subject", c_char * 256), ("origin", c_char * 128), ("detail", c_char * 256), ("remedy", c_char * 512)]


class KeyStruct(ctypes.Structure):
    _fields_ = [(n, c_char_p) for n in ("name", "type", "default", "range", "group", "help")] + [("list", c_bool)]


class PollFd(ctypes.Structure):
    _fields_ = [("fd", c_int), ("events", c_short), ("revents", c_short)]


class FdStruct(ctypes.Structure):
    _fields_ = [("inside", c_int), ("outside", c_int)]


def candidates():
    given = os.environ.get("HUTCH_LIBRARY")
    if given:
        yield given
        return
    if os.path.exists(os.path.join(TOP, "include", "hutch", "hutch.h")):      # in the source tree
        yield os.path.join(TOP, os.environ.get("BUILD", "build"), "libhutch.so")
    for path in ("libhutch.so.0", "/usr/local/lib/libhutch.so.0", "/usr/local/lib/%s-linux-gnu/libhutch.so.0" % os.uname().machine):
        yield path


def load():
    tried = []
    for path in candidates():
        try:
            return ctypes.CDLL(path, use_errno=True)
        except OSError as e:
            tried.append(str(e))
    raise ImportError("libhutch isn't built or installed: " + "; ".join(tried))


lib = load()
E = POINTER(ErrorStruct)


def declare(name, result, *arguments):
    f = getattr(lib, name)
    f.restype, f.argtypes = result, list(arguments)
    return f


version = declare("hutch_version", c_char_p)
error_text = declare("hutch_error_text", c_size_t, E, c_char_p, c_size_t)
policy_new = declare("hutch_policy_new", c_void_p)
policy_free = declare("hutch_policy_free", None, c_void_p)
policy_set = declare("hutch_policy_set", c_int, c_void_p, c_char_p, c_char_p, E)
policy_load = declare("hutch_policy_load", c_int, c_void_p, c_char_p, E)
policy_command = declare("hutch_policy_command", c_int, c_void_p, POINTER(c_char_p), E)
key = declare("hutch_key", c_bool, c_size_t, POINTER(KeyStruct))
plan_new = declare("hutch_plan_new", c_int, c_void_p, c_bool, POINTER(c_void_p), E)
plan_free = declare("hutch_plan_free", None, c_void_p)
plan_text = declare("hutch_plan_text", c_void_p, c_void_p, c_bool)
check_text = declare("hutch_check_text", c_void_p, c_bool, E)
spawn_fds = declare("hutch_spawn_fds", c_int, c_void_p, POINTER(FdStruct), c_size_t, POINTER(c_void_p), E)
run_pid = declare("hutch_run_pid", c_int, c_void_p)
run_pollfds = declare("hutch_run_pollfds", c_int, c_void_p, POINTER(PollFd), c_int)
run_step = declare("hutch_run_step", c_int, c_void_p, POINTER(PollFd), c_int, E)
run_signal = declare("hutch_run_signal", c_int, c_void_p, c_int, E)
run_kill = declare("hutch_run_kill", c_int, c_void_p, E)
# The report's struct grows with the library; its JSON form is what is read here, so room is all that it needs.
run_wait = declare("hutch_run_wait", c_int, c_void_p, c_void_p, E)
report_json = declare("hutch_report_json", c_void_p, c_void_p)
report_exit_status = declare("hutch_report_exit_status", c_int, c_void_p)
run_free = declare("hutch_run_free", None, c_void_p)
libc_free = ctypes.CDLL(None).free
libc_free.restype, libc_free.argtypes = None, [c_void_p]
REPORT_ROOM = 65536


def take_text(address):
    """A malloc'd string of the library's, as str."""
    if not address:
        raise MemoryError
    try:
        return ctypes.string_at(address).decode("utf-8", "replace")
    finally:
        libc_free(address)


