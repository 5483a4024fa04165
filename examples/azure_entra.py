"""Azure OpenAI with Entra ID: no key, but a token from `az login`, a managed identity or a service principal.

What:  signs in with DefaultAzureCredential, which is asked for a token at every connect, and streams an answer.
Needs: AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT in the environment, `az login` (or another way that
       DefaultAzureCredential knows), and the role "Cognitive Services OpenAI User" on the resource.
       Without an endpoint it talks to the simulator, for which nobody has to sign in.
Run:   python examples/azure_entra.py
"""

import os

from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential

import rtsync


def main(credential: TokenCredential) -> None:
    """Ask and print; any credential object of azure-identity will do."""
    has_account = "AZURE_OPENAI_ENDPOINT" in os.environ
    target = rtsync.Azure(credential=credential) if has_account else rtsync.Simulator()
    print(f"[{target.describe()}]")

    with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}) as session:
        session.on("response.output_text.delta", lambda session, event: print(event.delta, end="", flush=True))
        response = session.ask("Say a couple paragraphs!")
        print(f"\n[{response.status}]")


if __name__ == "__main__":
    with DefaultAzureCredential() as credential:  # one for the whole program: it caches its tokens
        main(credential)
