"""What goes into client events: items, tools, settings (protocol sections 4 and 5.3), for editors and type checkers.

Keys that are not ``Required`` may be left out; ``None`` clears what may be cleared.
"""

# Annotations are evaluated here: a TypedDict does not see Required in a text.
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypeAlias, TypedDict

__all__ = [
    "AssistantContent",
    "AssistantMessage",
    "Audio",
    "AudioConfig",
    "AudioFormatConfig",
    "AudioInputConfig",
    "AudioOutputConfig",
    "FunctionCall",
    "FunctionCallOutput",
    "FunctionTool",
    "ItemConfig",
    "ItemReference",
    "McpApprovalConfig",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpCallError",
    "McpListTools",
    "McpListedTool",
    "McpServer",
    "McpToolSelection",
    "NoiseReductionConfig",
    "PromptCacheBreakpoint",
    "PromptConfig",
    "PromptFile",
    "PromptImage",
    "PromptText",
    "ReasoningConfig",
    "ResponseAudioConfig",
    "ResponseAudioOutputConfig",
    "ResponseOptions",
    "SemanticVad",
    "ServerVad",
    "SessionConfig",
    "SystemContent",
    "SystemMessage",
    "TokenLimitsConfig",
    "ToolChoiceConfig",
    "ToolChoiceFunction",
    "ToolChoiceMcp",
    "TracingConfig",
    "TranscriptionAudioConfig",
    "TranscriptionConfig",
    "TranscriptionSessionConfig",
    "TranslationAudioConfig",
    "TranslationAudioInputConfig",
    "TranslationAudioOutputConfig",
    "TranslationSessionConfig",
    "TranslationTranscriptionConfig",
    "TruncationConfig",
    "UserContent",
    "UserMessage",
    "VoiceConfig",
]

Audio: TypeAlias = str | bytes
"""Base64 text, or bytes, which ``send`` encodes."""
Modality: TypeAlias = Literal["text", "audio"]
Status: TypeAlias = Literal["completed", "incomplete", "in_progress"]
Delay: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh"]
Caller: TypeAlias = Literal["direct", "programmatic"]
Approval: TypeAlias = Literal["always", "never"]
Include: TypeAlias = Literal["item.input_audio_transcription.logprobs"]


# -- items (protocol 5.3) ----------------------------------------------------------------------------------------------


class SystemContent(TypedDict, total=False):
    """A part of a system message."""

    type: Literal["input_text"]
    text: str


class SystemMessage(TypedDict, total=False):
    """What the model is told between turns."""

    type: Required[Literal["message"]]
    role: Required[Literal["system"]]
    content: Required[Sequence[SystemContent]]
    id: str
    object: Literal["realtime.item"]
    status: Status


class UserContent(TypedDict, total=False):
    """A part of a user's message: text, audio with or without its transcript, or an image as data URI."""

    type: Literal["input_text", "input_audio", "input_image"]
    text: str
    audio: Audio
    transcript: str
    image_url: str
    detail: Literal["auto", "low", "high"]


class UserMessage(TypedDict, total=False):
    """What the user says or shows."""

    type: Required[Literal["message"]]
    role: Required[Literal["user"]]
    content: Required[Sequence[UserContent]]
    id: str
    object: Literal["realtime.item"]
    status: Status


class AssistantContent(TypedDict, total=False):
    """A part of an assistant's message; clients can create text only."""

    type: Literal["output_text", "output_audio"]
    text: str
    audio: Audio
    transcript: str


class AssistantMessage(TypedDict, total=False):
    """What the model is to have said."""

    type: Required[Literal["message"]]
    role: Required[Literal["assistant"]]
    content: Required[Sequence[AssistantContent]]
    id: str
    object: Literal["realtime.item"]
    status: Status


class FunctionCall(TypedDict, total=False):
    """A call that the model made; ``arguments`` is JSON text."""

    type: Required[Literal["function_call"]]
    name: Required[str]
    arguments: Required[str]
    call_id: str
    id: str
    object: Literal["realtime.item"]
    status: Status


class FunctionCallOutput(TypedDict, total=False):
    """What a called function returned; ``call_id`` must be one of this conversation."""

    type: Required[Literal["function_call_output"]]
    call_id: Required[str]
    output: Required[str]
    id: str
    object: Literal["realtime.item"]
    status: Status


class McpApprovalResponse(TypedDict, total=False):
    """Lets an MCP call go ahead, or not."""

    type: Required[Literal["mcp_approval_response"]]
    id: Required[str]
    approval_request_id: Required[str]
    approve: Required[bool]
    reason: str | None


class McpListedTool(TypedDict, total=False):
    """A tool that an MCP server offers."""

    name: Required[str]
    input_schema: Required[Any]
    description: str | None
    annotations: Any


class McpListTools(TypedDict, total=False):
    """The tools of an MCP server."""

    type: Required[Literal["mcp_list_tools"]]
    server_label: Required[str]
    tools: Required[Sequence[McpListedTool]]
    id: str


class McpCallError(TypedDict, total=False):
    """Why an MCP call failed; a tool execution error has no code."""

    type: Required[Literal["protocol_error", "tool_execution_error", "http_error"]]
    message: Required[str]
    code: int


class McpCall(TypedDict, total=False):
    """A call that the service made to an MCP server."""

    type: Required[Literal["mcp_call"]]
    id: Required[str]
    server_label: Required[str]
    name: Required[str]
    arguments: Required[str]
    approval_request_id: str | None
    output: str | None
    error: McpCallError | None


class McpApprovalRequest(TypedDict, total=False):
    """Asks the client whether an MCP call may go ahead."""

    type: Required[Literal["mcp_approval_request"]]
    id: Required[str]
    server_label: Required[str]
    name: Required[str]
    arguments: Required[str]


class ItemReference(TypedDict, total=False):
    """An item of the conversation, by its id; only in the ``input`` of ``response.create``."""

    type: Required[Literal["item_reference"]]
    id: Required[str]


ItemConfig: TypeAlias = (
    SystemMessage
    | UserMessage
    | AssistantMessage
    | FunctionCall
    | FunctionCallOutput
    | McpApprovalResponse
    | McpListTools
    | McpCall
    | McpApprovalRequest
)


# -- tools (protocol 4.8) ----------------------------------------------------------------------------------------------


class FunctionTool(TypedDict, total=False):
    """A function of the client; ``parameters`` is a JSON schema."""

    type: Literal["function"]
    name: str
    description: str
    parameters: Any


class McpToolSelection(TypedDict, total=False):
    """Some tools of an MCP server."""

    tool_names: Sequence[str]
    read_only: bool


class McpApprovalConfig(TypedDict, total=False):
    """Which tools need a yes before each call."""

    always: McpToolSelection
    never: McpToolSelection


class McpServer(TypedDict, total=False):
    """An MCP server, by ``server_url``, ``connector_id`` or ``tunnel_id``."""

    type: Required[Literal["mcp"]]
    server_label: Required[str]
    server_url: str
    connector_id: Literal[
        "connector_dropbox",
        "connector_gmail",
        "connector_googlecalendar",
        "connector_googledrive",
        "connector_microsoftteams",
        "connector_outlookcalendar",
        "connector_outlookemail",
        "connector_sharepoint",
    ]
    tunnel_id: str
    authorization: str
    headers: Mapping[str, str] | None
    server_description: str
    allowed_tools: Sequence[str] | McpToolSelection | None
    require_approval: McpApprovalConfig | Approval | None
    allowed_callers: Sequence[Caller] | None
    defer_loading: bool


class ToolChoiceFunction(TypedDict, total=False):
    """The function that the model must call."""

    type: Required[Literal["function"]]
    name: Required[str]


class ToolChoiceMcp(TypedDict, total=False):
    """The MCP server, or its tool, that the model must use."""

    type: Required[Literal["mcp"]]
    server_label: Required[str]
    name: str | None


ToolChoiceConfig: TypeAlias = Literal["none", "auto", "required"] | ToolChoiceFunction | ToolChoiceMcp


# -- settings (protocol section 4) -------------------------------------------------------------------------------------


class AudioFormatConfig(TypedDict, total=False):
    """How samples are encoded; ``rate`` is 24000 and goes with ``audio/pcm`` only."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24000]


class NoiseReductionConfig(TypedDict, total=False):
    """How input audio is cleaned: near_field for headsets, far_field for rooms."""

    type: Literal["near_field", "far_field"]
    strength: float


class TranscriptionConfig(TypedDict, total=False):
    """How input audio is transcribed; which keys a model knows: protocol 4.6."""

    model: str
    language: str
    languages: Sequence[str]
    prompt: str
    keywords: Sequence[str]
    delay: Delay


class ServerVad(TypedDict, total=False):
    """Voice detection by silence; times in milliseconds, ``threshold`` from 0 to 1."""

    type: Required[Literal["server_vad"]]
    create_response: bool
    interrupt_response: bool
    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    idle_timeout_ms: int | None


class SemanticVad(TypedDict, total=False):
    """Voice detection by meaning."""

    type: Required[Literal["semantic_vad"]]
    create_response: bool
    interrupt_response: bool
    eagerness: Literal["low", "medium", "high", "auto"]


class AudioInputConfig(TypedDict, total=False):
    """How the service listens; ``turn_detection: None`` means turns by hand."""

    format: AudioFormatConfig
    transcription: TranscriptionConfig | None
    noise_reduction: NoiseReductionConfig | None
    turn_detection: ServerVad | SemanticVad | None


class VoiceConfig(TypedDict, total=False):
    """A custom voice."""

    id: Required[str]


class AudioOutputConfig(TypedDict, total=False):
    """How the model speaks; ``speed`` from 0.25 to 1.5."""

    format: AudioFormatConfig
    voice: str | VoiceConfig
    speed: float


class AudioConfig(TypedDict, total=False):
    """The audio settings of a session."""

    input: AudioInputConfig
    output: AudioOutputConfig


class TracingConfig(TypedDict, total=False):
    """How the session is entered in the traces dashboard."""

    workflow_name: str
    group_id: str
    metadata: Any


class TokenLimitsConfig(TypedDict, total=False):
    """Most tokens of the conversation after the instructions."""

    post_instructions: int


class TruncationConfig(TypedDict, total=False):
    """The share of the context, 0 to 1, that is kept when it is full."""

    type: Required[Literal["retention_ratio"]]
    retention_ratio: Required[float]
    token_limits: TokenLimitsConfig


class ReasoningConfig(TypedDict, total=False):
    """How much the model thinks; reasoning models only."""

    effort: Delay


class PromptCacheBreakpoint(TypedDict, total=False):
    """Where a prompt's cached part ends."""

    mode: Required[Literal["explicit"]]
    ttl: Literal["30m", "12h"]


class PromptText(TypedDict, total=False):
    """A text in a prompt template."""

    type: Required[Literal["input_text"]]
    text: Required[str]
    prompt_cache_breakpoint: PromptCacheBreakpoint


class PromptImage(TypedDict, total=False):
    """An image in a prompt template."""

    type: Required[Literal["input_image"]]
    detail: Required[Literal["low", "high", "auto", "original"]]
    file_id: str | None
    image_url: str | None
    prompt_cache_breakpoint: PromptCacheBreakpoint


class PromptFile(TypedDict, total=False):
    """A file in a prompt template."""

    type: Required[Literal["input_file"]]
    detail: Literal["auto", "low", "high"]
    file_data: str
    file_id: str | None
    file_url: str
    filename: str
    prompt_cache_breakpoint: PromptCacheBreakpoint


class PromptConfig(TypedDict, total=False):
    """A prompt template that the service keeps."""

    id: Required[str]
    version: str | None
    variables: Mapping[str, str | PromptText | PromptImage | PromptFile] | None


class SessionConfig(TypedDict, total=False):
    """A conversation's session. Only the keys that are there change; ``[]`` clears tools, ``""`` instructions."""

    type: Required[Literal["realtime"]]
    model: str
    output_modalities: Sequence[Modality]
    instructions: str
    audio: AudioConfig
    include: Sequence[Include]
    tools: Sequence[FunctionTool | McpServer]
    tool_choice: ToolChoiceConfig
    parallel_tool_calls: bool
    max_output_tokens: int | Literal["inf"]
    tracing: TracingConfig | Literal["auto"] | None
    truncation: TruncationConfig | Literal["auto", "disabled"]
    prompt: PromptConfig | None
    reasoning: ReasoningConfig


class TranscriptionAudioConfig(TypedDict, total=False):
    """The audio settings of a transcription session."""

    input: AudioInputConfig


class TranscriptionSessionConfig(TypedDict, total=False):
    """A transcription session (protocol 4.10)."""

    type: Required[Literal["transcription"]]
    audio: TranscriptionAudioConfig
    include: Sequence[Include]


class ResponseAudioOutputConfig(TypedDict, total=False):
    """How the model speaks in one response."""

    format: AudioFormatConfig
    voice: str | VoiceConfig


class ResponseAudioConfig(TypedDict, total=False):
    """The audio settings of one response."""

    output: ResponseAudioOutputConfig


class ResponseOptions(TypedDict, total=False):
    """What one response shall do differently from the session (protocol 4.7)."""

    output_modalities: Sequence[Modality]
    instructions: str
    audio: ResponseAudioConfig
    tools: Sequence[FunctionTool | McpServer]
    tool_choice: ToolChoiceConfig
    parallel_tool_calls: bool
    max_output_tokens: int | Literal["inf"]
    conversation: Literal["auto", "none"]
    input: Sequence[ItemConfig | ItemReference]
    metadata: Mapping[str, str] | None
    prompt: PromptConfig | None
    reasoning: ReasoningConfig


# -- translation (protocol 2.2) ----------------------------------------------------------------------------------------


class TranslationTranscriptionConfig(TypedDict, total=False):
    """The model that transcribes what is said."""

    model: Required[str]


class TranslationAudioInputConfig(TypedDict, total=False):
    """How the translator listens."""

    transcription: TranslationTranscriptionConfig | None
    noise_reduction: NoiseReductionConfig | None


class TranslationAudioOutputConfig(TypedDict, total=False):
    """The language to translate into, e.g. es."""

    language: str


class TranslationAudioConfig(TypedDict, total=False):
    """The audio settings of a translation session."""

    input: TranslationAudioInputConfig
    output: TranslationAudioOutputConfig


class TranslationSessionConfig(TypedDict, total=False):
    """A translation session; it has no more than this that may change."""

    audio: TranslationAudioConfig
