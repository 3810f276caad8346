"""patches_alone.py: imports what a manhole imports, and patches."""

import codeop
import dataclasses
import json
import logging
import platform
import socket
import threading
import traceback

import eventlet

eventlet.monkey_patch()
kept = (codeop, dataclasses, json, logging, platform, socket, threading, traceback)
