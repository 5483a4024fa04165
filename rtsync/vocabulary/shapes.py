"""The objects inside server events, for editors and type checkers: what ``event.response.usage.`` completes.

Where the protocol knows several kinds of one thing (items, sessions, tools), one class holds the fields of all, so that
no narrowing is needed to read them; a field says when only one kind has it, and is typed as that kind has it. ``X |
None`` is what may be absent or null there. ``id``, ``status`` and ``output`` of a response and ``id`` of an item are
always sent, although the schema lets them go (protocol 5.1, 5.3).

At run time such an object is a ``Fields`` over exactly what came, an array an ``Items``: nothing is validated, and
these classes are never made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from rtsync.vocabulary.events import Fields, Items

__all__ = [
    "Array",
    "AudioFormat",
    "AudioInput",
    "AudioOutput",
    "CacheBreakpoint",
    "CachedTokens",
    "ContentPart",
    "Conversation",
    "ErrorObject",
    "InputTokens",
    "Item",
    "Language",
    "LogProb",
    "McpApproval",
    "McpError",
    "McpTool",
    "McpToolFilter",
    "NoiseReduction",
    "OutputTokens",
    "Prompt",
    "PromptVariable",
    "RateLimit",
    "Reasoning",
    "ResponseAudio",
    "ResponseError",
    "ResponseObject",
    "SessionAudio",
    "SessionObject",
    "StatusDetails",
    "TokenLimits",
    "Tool",
    "ToolChoice",
    "Tracing",
    "Transcription",
    "TranscriptionError",
    "TranscriptionUsage",
    "Truncation",
    "TurnDetection",
    "Usage",
    "Voice",
]

Element = TypeVar("Element", covariant=True)


class Array(Items, Generic[Element]):
    """An ``Items`` of which type checkers know the elements."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Element: ...
        @overload
        def __getitem__(self, index: slice) -> Array[Element]: ...
        def __getitem__(self, index: int | slice) -> Any: ...
        def __iter__(self) -> Iterator[Element]: ...


# -- the conversation --------------------------------------------------------------------------------------------------


class Conversation(Fields):
    """The conversation of a session (``conversation.created``).

    Attributes:
        id: its id, conv_...
        object: always realtime.conversation.
    """

    __slots__ = ()
    id: str | None
    object: Literal["realtime.conversation"] | None


class ContentPart(Fields):
    """A part of a message (protocol 5.3).

    Attributes:
        type: what it is; ``text`` and ``audio`` in ``response.content_part.*``, ``output_text`` and ``output_audio`` in
            an assistant's item, ``input_...`` in the items of users and of the system.
        text: the words of a text part.
        audio: base64 samples of an audio part; only in ``conversation.item.retrieved``.
        transcript: what was said in an audio part; null until it has been transcribed.
        image_url: data URI of an image part, PNG or JPEG.
        detail: how closely an image is looked at; auto means high.
        format: encoding of ``audio``, e.g. pcm16; seen in ``conversation.item.retrieved``.
    """

    __slots__ = ()
    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio"]
    text: str | None
    audio: str | None
    transcript: str | None
    image_url: str | None
    detail: Literal["auto", "low", "high"] | None
    format: str | None


class McpTool(Fields):
    """A tool that an MCP server offers (items of type ``mcp_list_tools``).

    Attributes:
        name: its name.
        description: what it does, for the model.
        input_schema: JSON schema of its arguments.
        annotations: what else the server says of it.
    """

    __slots__ = ()
    name: str
    description: str | None
    input_schema: Any
    annotations: Any


class McpError(Fields):
    """Why an MCP call failed (items of type ``mcp_call``).

    Attributes:
        type: who failed: the MCP protocol, the tool, or HTTP.
        code: error code of the protocol or of HTTP; a tool execution error has none.
        message: what happened, in words.
    """

    __slots__ = ()
    type: Literal["protocol_error", "tool_execution_error", "http_error"]
    code: int
    message: str


class Item(Fields):
    """An item of the conversation, of any type (protocol 5.3).

    Attributes:
        id: its id, item_...; the client may choose it.
        object: realtime.item, or absent.
        type: what it is; says which of the other fields are there.
        status: completed, incomplete or in_progress; without effect.
        role: message: who speaks.
        content: message: its parts.
        name: function_call, mcp_call, mcp_approval_request: the function or tool.
        arguments: function_call, mcp_call, mcp_approval_request: the arguments, as JSON text.
        call_id: function_call, function_call_output: ties the output to the call, call_...
        output: function_call_output, mcp_call: what came out, as text; null in an MCP call that has not ended well.
        server_label: mcp_list_tools, mcp_call, mcp_approval_request: the MCP server.
        tools: mcp_list_tools: what the server offers.
        approval_request_id: mcp_call, mcp_approval_response: the request that was approved or refused.
        error: mcp_call: why it failed.
        approve: mcp_approval_response: whether the call may go ahead.
        reason: mcp_approval_response: why, or why not.
    """

    __slots__ = ()
    id: str
    object: Literal["realtime.item"] | None
    type: Literal[
        "message",
        "function_call",
        "function_call_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
    ]
    status: Literal["completed", "incomplete", "in_progress"] | None
    role: Literal["system", "user", "assistant"]
    content: Array[ContentPart]
    name: str
    arguments: str
    call_id: str
    output: str | None
    server_label: str
    tools: Array[McpTool]
    approval_request_id: str | None
    error: McpError | None
    approve: bool
    reason: str | None


# -- responses ---------------------------------------------------------------------------------------------------------


class CachedTokens(Fields):
    """The input tokens that came out of the cache, by kind (protocol 5.2).

    Attributes:
        text_tokens: of text.
        audio_tokens: of audio.
        image_tokens: of images.
    """

    __slots__ = ()
    text_tokens: int | None
    audio_tokens: int | None
    image_tokens: int | None


class InputTokens(Fields):
    """The input tokens, by kind (protocol 5.2).

    Attributes:
        text_tokens: of text.
        audio_tokens: of audio.
        image_tokens: of images; responses only, not on preview.
        cached_tokens: how many of the input tokens came out of the cache; responses only.
        cached_tokens_details: those, by kind; responses only, missing in early previews.
    """

    __slots__ = ()
    text_tokens: int | None
    audio_tokens: int | None
    image_tokens: int | None
    cached_tokens: int | None
    cached_tokens_details: CachedTokens | None


class OutputTokens(Fields):
    """The output tokens, by kind (protocol 5.2).

    Attributes:
        text_tokens: of text, the transcript of speech included.
        audio_tokens: of audio.
    """

    __slots__ = ()
    text_tokens: int | None
    audio_tokens: int | None


class Usage(Fields):
    """What a response cost (protocol 5.2).

    Attributes:
        total_tokens: input and output together.
        input_tokens: of the whole context that the model read; cached ones included.
        output_tokens: that the model made.
        input_token_details: the input tokens, by kind.
        output_token_details: the output tokens, by kind.
    """

    __slots__ = ()
    total_tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    input_token_details: InputTokens | None
    output_token_details: OutputTokens | None


class ResponseError(Fields):
    """Why a response failed (protocol 5.1).

    Attributes:
        type: kind of error.
        code: e.g. server_error, insufficient_quota, rate_limit_exceeded.
        message: what happened, in words; beyond the published schema.
    """

    __slots__ = ()
    type: str | None
    code: str | None
    message: str | None


class StatusDetails(Fields):
    """Why a response ended as it did (protocol 5.1).

    Attributes:
        type: its status once more.
        reason: cancelled: turn_detected, client_cancelled; incomplete: max_output_tokens, content_filter.
        error: failed: what went wrong.
    """

    __slots__ = ()
    type: Literal["completed", "cancelled", "incomplete", "failed"] | None
    reason: Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"] | None
    error: ResponseError | None


class AudioFormat(Fields):
    """How samples are encoded (protocol 4.5).

    Attributes:
        type: audio/pcm (16-bit little-endian mono), audio/pcmu or audio/pcma (G.711, 8 kHz).
        rate: samples in a second, 24000; audio/pcm only.
    """

    __slots__ = ()
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] | None
    rate: int | None


class Voice(Fields):
    """A custom voice.

    Attributes:
        id: its id, voice_...
    """

    __slots__ = ()
    id: str


class AudioOutput(Fields):
    """How the model speaks (protocol 4.1).

    Attributes:
        format: encoding of the audio.
        voice: name of the voice, or a custom one; fixed once the model has spoken.
        speed: 0.25 to 1.5; sessions only.
        language: language to translate into, e.g. es; translation sessions only.
    """

    __slots__ = ()
    format: AudioFormat | None
    voice: str | Voice | None
    speed: float | None
    language: str | None


class ResponseAudio(Fields):
    """The audio settings of a response.

    Attributes:
        output: how the model speaks.
    """

    __slots__ = ()
    output: AudioOutput | None


class ResponseObject(Fields):
    """A response (protocol 5.1). Not to be confused with ``rtsync.Response``, which collects one as it comes.

    Attributes:
        id: its id, resp_...
        object: always realtime.response.
        status: in_progress until ``response.done``.
        status_details: why it ended as it did; null while in progress and when completed.
        output: its items, without audio bytes; empty in ``response.created``.
        conversation_id: the conversation that it writes to, conv_...; null when out-of-band.
        output_modalities: text or audio, as in effect.
        max_output_tokens: cap on its tokens, as in effect.
        audio: audio settings, as in effect.
        usage: what it cost; null until ``response.done``.
        metadata: what ``response.create`` gave it; null if nothing.
    """

    __slots__ = ()
    id: str
    object: Literal["realtime.response"]
    status: Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]
    status_details: StatusDetails | None
    output: Array[Item]
    conversation_id: str | None
    output_modalities: Array[Literal["text", "audio"]] | None
    max_output_tokens: int | Literal["inf"] | None
    audio: ResponseAudio | None
    usage: Usage | None
    metadata: Mapping[str, str] | None


# -- sessions ----------------------------------------------------------------------------------------------------------


class NoiseReduction(Fields):
    """How input audio is cleaned before voice detection and model hear it (protocol 4.1).

    Attributes:
        type: near_field for headsets, far_field for rooms.
        strength: 1 unless set; newer services only.
    """

    __slots__ = ()
    type: Literal["near_field", "far_field"] | None
    strength: float | None


class Transcription(Fields):
    """How input audio is transcribed (protocol 4.6).

    Attributes:
        model: transcription model; on Azure a deployment.
        language: language of the speech, e.g. en.
        languages: languages that may be spoken; gpt-transcribe and gpt-live-transcribe.
        prompt: words to expect; not with gpt-realtime-whisper.
        keywords: words to listen for; gpt-transcribe and gpt-live-transcribe.
        delay: minimal to xhigh: how long it may wait for more context; gpt-realtime-whisper.
    """

    __slots__ = ()
    model: str | None
    language: str | None
    languages: Array[str] | None
    prompt: str | None
    keywords: Array[str] | None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None


class TurnDetection(Fields):
    """Voice detection: when the user's turn begins and ends (protocol 4.2).

    Attributes:
        type: server_vad listens for silence, semantic_vad for the end of a thought.
        create_response: whether the end of a turn starts a response.
        interrupt_response: whether the beginning of one cancels the running response.
        threshold: server_vad: 0 to 1, how loud speech must be.
        prefix_padding_ms: server_vad: milliseconds kept from before the speech.
        silence_duration_ms: server_vad: milliseconds of silence that end the turn.
        idle_timeout_ms: server_vad: 5000 to 30000 milliseconds after which the model speaks unasked; null never.
        eagerness: semantic_vad: how soon it answers; auto is medium.
    """

    __slots__ = ()
    type: Literal["server_vad", "semantic_vad"]
    create_response: bool | None
    interrupt_response: bool | None
    threshold: float | None
    prefix_padding_ms: int | None
    silence_duration_ms: int | None
    idle_timeout_ms: int | None
    eagerness: Literal["low", "medium", "high", "auto"] | None


class AudioInput(Fields):
    """How the service listens (protocol 4.1).

    Attributes:
        format: encoding of the audio.
        transcription: how it is transcribed; null not at all.
        noise_reduction: how it is cleaned; null not at all.
        turn_detection: voice detection; null for turns by hand.
    """

    __slots__ = ()
    format: AudioFormat | None
    transcription: Transcription | None
    noise_reduction: NoiseReduction | None
    turn_detection: TurnDetection | None


class SessionAudio(Fields):
    """The audio settings of a session (protocol 4.1).

    Attributes:
        input: how the service listens.
        output: how the model speaks; not in a transcription session.
    """

    __slots__ = ()
    input: AudioInput | None
    output: AudioOutput | None


class McpToolFilter(Fields):
    """Some tools of an MCP server.

    Attributes:
        tool_names: their names.
        read_only: whether those are meant that only read.
    """

    __slots__ = ()
    tool_names: Array[str] | None
    read_only: bool | None


class McpApproval(Fields):
    """Which tools of an MCP server need a yes before each call.

    Attributes:
        always: those that need it.
        never: those that do not.
    """

    __slots__ = ()
    always: McpToolFilter | None
    never: McpToolFilter | None


class Tool(Fields):
    """A tool that the model may use: a function of the client, or an MCP server (protocol 4.8).

    Attributes:
        type: function or mcp.
        name: function: its name.
        description: function: what it does, for the model.
        parameters: function: JSON schema of its arguments.
        server_label: mcp: name of the server in items and events.
        server_url: mcp: where the server is; or connector_id, or tunnel_id.
        connector_id: mcp: a connector of the service.
        tunnel_id: mcp: a tunnel to a private server.
        authorization: mcp: token for the server.
        headers: mcp: HTTP headers for the server.
        server_description: mcp: what the server is for, for the model.
        allowed_tools: mcp: names, or a filter; null allows all.
        require_approval: mcp: always unless set, never, or by tool.
        allowed_callers: mcp: direct, programmatic.
        defer_loading: mcp: whether its tools are listed only when needed.
    """

    __slots__ = ()
    type: Literal["function", "mcp"] | None
    name: str | None
    description: str | None
    parameters: Any
    server_label: str
    server_url: str | None
    connector_id: (
        Literal[
            "connector_dropbox",
            "connector_gmail",
            "connector_googlecalendar",
            "connector_googledrive",
            "connector_microsoftteams",
            "connector_outlookcalendar",
            "connector_outlookemail",
            "connector_sharepoint",
        ]
        | None
    )
    tunnel_id: str | None
    authorization: str | None
    headers: Mapping[str, str] | None
    server_description: str | None
    allowed_tools: Array[str] | McpToolFilter | None
    require_approval: Literal["always", "never"] | McpApproval | None
    allowed_callers: Array[Literal["direct", "programmatic"]] | None
    defer_loading: bool | None


class ToolChoice(Fields):
    """The tool that the model must use (protocol 4.8).

    Attributes:
        type: function or mcp.
        name: function, or one tool of the MCP server; null any of its tools.
        server_label: mcp: the server.
    """

    __slots__ = ()
    type: Literal["function", "mcp"]
    name: str | None
    server_label: str


class Tracing(Fields):
    """How the session is entered in the traces dashboard.

    Attributes:
        workflow_name: name of the trace.
        group_id: ties traces together.
        metadata: what else to note.
    """

    __slots__ = ()
    workflow_name: str | None
    group_id: str | None
    metadata: Any


class TokenLimits(Fields):
    """Limits of truncation.

    Attributes:
        post_instructions: most tokens of the conversation after the instructions.
    """

    __slots__ = ()
    post_instructions: int | None


class Truncation(Fields):
    """How the oldest items are dropped when the context is full (protocol 4.9).

    Attributes:
        type: always retention_ratio.
        retention_ratio: 0 to 1, the share that is kept.
        token_limits: further limits.
    """

    __slots__ = ()
    type: Literal["retention_ratio"]
    retention_ratio: float
    token_limits: TokenLimits | None


class Reasoning(Fields):
    """How much the model thinks; reasoning models only.

    Attributes:
        effort: minimal to xhigh.
    """

    __slots__ = ()
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None


class CacheBreakpoint(Fields):
    """Where a prompt's cached part ends.

    Attributes:
        mode: always explicit.
        ttl: how long it is cached.
    """

    __slots__ = ()
    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None


class PromptVariable(Fields):
    """A value for a prompt template that is more than a text.

    Attributes:
        type: input_text, input_image or input_file.
        text: input_text: the words.
        detail: input_image, input_file: how closely it is looked at.
        image_url: input_image: where it is, or a data URI.
        file_id: input_image, input_file: id of an uploaded file.
        file_data: input_file: its content, base64.
        file_url: input_file: where it is.
        filename: input_file: its name.
        prompt_cache_breakpoint: whether the cached part of the prompt ends here.
    """

    __slots__ = ()
    type: Literal["input_text", "input_image", "input_file"]
    text: str
    detail: Literal["low", "high", "auto", "original"] | None
    image_url: str | None
    file_id: str | None
    file_data: str | None
    file_url: str | None
    filename: str | None
    prompt_cache_breakpoint: CacheBreakpoint | None


class Prompt(Fields):
    """A prompt template that the service keeps.

    Attributes:
        id: its id.
        version: its version; null the current one.
        variables: values for its blanks.
    """

    __slots__ = ()
    id: str
    version: str | None
    variables: Mapping[str, str | PromptVariable] | None


class SessionObject(Fields):
    """The configuration of a session, of any kind (protocol section 4).

    Attributes:
        id: its id, sess_...
        object: realtime.session or realtime.transcription_session.
        type: kind of session: realtime, transcription or translation.
        expires_at: when the service will end it, in Unix seconds.
        model: the model; fixed.
        output_modalities: audio or text, one of them; audio comes with its transcript.
        instructions: system prompt.
        audio: audio settings.
        include: what events hold beyond the usual: item.input_audio_transcription.logprobs.
        tools: what the model may use.
        tool_choice: none, auto, required, or one that it must use.
        parallel_tool_calls: whether it may call several at once; reasoning models only.
        max_output_tokens: cap on a response's tokens.
        tracing: auto, or settings; null none.
        truncation: auto, disabled, or settings: what happens when the context is full.
        prompt: prompt template.
        reasoning: how much the model thinks; reasoning models only.
    """

    __slots__ = ()
    id: str | None
    object: Literal["realtime.session", "realtime.transcription_session"] | None
    type: Literal["realtime", "transcription", "translation"]
    expires_at: int | None
    model: str | None
    output_modalities: Array[Literal["text", "audio"]] | None
    instructions: str | None
    audio: SessionAudio | None
    include: Array[Literal["item.input_audio_transcription.logprobs"]] | None
    tools: Array[Tool] | None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None
    parallel_tool_calls: bool | None
    max_output_tokens: int | Literal["inf"] | None
    tracing: Literal["auto"] | Tracing | None
    truncation: Literal["auto", "disabled"] | Truncation | None
    prompt: Prompt | None
    reasoning: Reasoning | None


# -- the rest ----------------------------------------------------------------------------------------------------------


class ErrorObject(Fields):
    """What an ``error`` event says (protocol 5.4).

    Attributes:
        type: invalid_request_error, server_error, ...
        code: what exactly, e.g. unknown_parameter.
        message: what happened, in words.
        param: dotted path of the field at fault.
        event_id: id of the client event at fault; not dependable.
    """

    __slots__ = ()
    type: str
    code: str | None
    message: str
    param: str | None
    event_id: str | None


class TranscriptionError(Fields):
    """Why an input transcription failed.

    Attributes:
        type: kind of error, e.g. transcription_error.
        code: what exactly, e.g. audio_unintelligible.
        message: what happened, in words.
        param: the field at fault.
    """

    __slots__ = ()
    type: str | None
    code: str | None
    message: str | None
    param: str | None


class TranscriptionUsage(Fields):
    """What an input transcription cost, in tokens or, with whisper-1, in seconds (protocol 5.2).

    Attributes:
        type: tokens or duration; says which of the other fields are there.
        total_tokens: tokens: input and output together.
        input_tokens: tokens: of the audio and the prompt.
        output_tokens: tokens: of the transcript.
        input_token_details: tokens: the input tokens, by kind.
        seconds: duration: of the audio.
    """

    __slots__ = ()
    type: Literal["tokens", "duration"]
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokens | None
    seconds: float


class Language(Fields):
    """A language heard in the audio.

    Attributes:
        code: e.g. en.
    """

    __slots__ = ()
    code: str


class LogProb(Fields):
    """How sure the transcription is of a token.

    Attributes:
        token: the token.
        bytes: its UTF-8 bytes.
        logprob: logarithm of its probability.
    """

    __slots__ = ()
    token: str
    bytes: Array[int]
    logprob: float


class RateLimit(Fields):
    """What is left of a limit (protocol 5.5).

    Attributes:
        name: requests or tokens.
        limit: the most that is allowed.
        remaining: what is left.
        reset_seconds: seconds until all of it is back.
    """

    __slots__ = ()
    name: Literal["requests", "tokens"] | None
    limit: int | None
    remaining: int | None
    reset_seconds: float | None
