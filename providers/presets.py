"""Well-known providers: what the form for a new backend offers to fill in. Nothing here is ever changed at run time."""

from dataclasses import dataclass

from providers.rules.table import ApiKind


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider's public address and format."""

    key: str
    name: str
    api_base_url: str
    api: ApiKind = ApiKind.OPENAI_COMPLETIONS
    rpm_limit: int | None = None  # None: the hub's default; providers change their limits too often to state them here
    own_host: bool = False  # the address is an example: everybody has a host of one's own


PRESETS: tuple[Preset, ...] = (
    Preset("openai", "OpenAI", "https://api.openai.com/v1"),
    Preset("openai-responses", "OpenAI, Responses API", "https://api.openai.com/v1", ApiKind.OPENAI_RESPONSES),
    Preset("anthropic", "Anthropic", "https://api.anthropic.com/v1", ApiKind.ANTHROPIC_MESSAGES),
    Preset("gemini", "Google Gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    Preset("azure", "Azure OpenAI", "https://NAME.openai.azure.com/openai/v1", ApiKind.AZURE_OPENAI, own_host=True),
    Preset(
        "azure-classic",
        "Azure OpenAI, deployments and API versions",
        "https://NAME.openai.azure.com",
        ApiKind.AZURE_OPENAI,
        own_host=True,
    ),
    Preset("nvidia", "NVIDIA", "https://integrate.api.nvidia.com/v1", rpm_limit=40),
    Preset("openrouter", "OpenRouter", "https://openrouter.ai/api/v1"),
    Preset("groq", "Groq", "https://api.groq.com/openai/v1"),
    Preset("mistral", "Mistral", "https://api.mistral.ai/v1"),
    Preset("deepseek", "DeepSeek", "https://api.deepseek.com/v1"),
    Preset("together", "Together", "https://api.together.xyz/v1"),
    Preset("fireworks", "Fireworks", "https://api.fireworks.ai/inference/v1"),
    Preset("deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai"),
    Preset("huggingface", "Hugging Face", "https://router.huggingface.co/v1"),
    Preset("hyperbolic", "Hyperbolic", "https://api.hyperbolic.xyz/v1"),
    Preset("nebius", "Nebius", "https://api.tokenfactory.nebius.com/v1"),
    Preset("sambanova", "SambaNova", "https://api.sambanova.ai/v1"),
    Preset("github", "GitHub Models", "https://models.github.ai/inference"),
    Preset("cohere", "Cohere", "https://api.cohere.ai/compatibility/v1"),
    Preset("perplexity", "Perplexity", "https://api.perplexity.ai"),
    Preset("xai", "xAI", "https://api.x.ai/v1"),
    Preset("cerebras", "Cerebras", "https://api.cerebras.ai/v1"),
    Preset("moonshot", "Moonshot", "https://api.moonshot.ai/v1"),
    Preset("zhipu", "Zhipu", "https://open.bigmodel.cn/api/paas/v4"),
    Preset("dashscope", "Alibaba DashScope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    Preset("minimax", "MiniMax", "https://api.minimax.io/v1"),
    Preset("volcengine", "Volcengine Ark", "https://ark.cn-beijing.volces.com/api/v3"),
    Preset("siliconflow", "SiliconFlow", "https://api.siliconflow.cn/v1"),
    Preset("ollama", "Ollama on this machine", "http://127.0.0.1:11434/v1"),
    Preset("vllm", "vLLM on this machine", "http://127.0.0.1:8000/v1"),
    Preset("llamacpp", "llama.cpp server on this machine", "http://127.0.0.1:8080/v1"),
    Preset("tgi", "Text Generation Inference on this machine", "http://127.0.0.1:8080/v1"),
    Preset("lmstudio", "LM Studio on this machine", "http://127.0.0.1:1234/v1"),
)

BY_KEY: dict[str, Preset] = {preset.key: preset for preset in PRESETS}
