"""patches_after_install.py: installs a manhole, and patches."""

import logging

import eventlet

import manhole

manhole.install(verbose=False, start_timeout=30)
eventlet.monkey_patch()
kept = logging
