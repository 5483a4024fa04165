"""The page of examples/flask_chat in a Django project: the same templates and files, other views.

What:  streamed answers, microphone and speaker, interruption, transcripts; a reload finds the conversation
Needs: pip install 'rtsync[django]'; 'rtsync[simulator-voice]' and flite for a simulator that hears and speaks
Run:   python examples/django_chat/manage.py runserver
Voice: goes over a WebSocket, which runserver has not: gunicorn --chdir examples/django_chat --threads 32 wsgi
With:  OPENAI_API_KEY; or AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT and AZURE_OPENAI_API_KEY: no simulator
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    execute_from_command_line(sys.argv)
