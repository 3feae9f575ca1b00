#!/usr/bin/env bash
# Take out of the virtual environment what the appliance never loads (756 MB become about 590).
#   packaging/deb/prune.sh VENV SITE
# What is compiled is never stripped: that breaks numpy's libraries. docs: packaging/deb/README.md
set -euo pipefail
venv=$1
cd "$2"

# Whole distributions that another one names, and that nothing imports: `left-out` lists them with their reasons.
sed -E '/^(#|$)/d; s/:.*//' "$OLDPWD/packaging/deb/left-out" | while read -r name; do
    rm -rf "${name//-/_}" "${name//-/_}"-*.dist-info
done

# Tests, and sources in C.
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cc' -o -name '*.cpp' \
    -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.tp' -o -name '*.a' -o -name '*.cmake' \) -delete

# OpenVINO: the CPU plugin runs what the appliance exports itself; no other framework's files, no converter.
(
    cd openvino
    rm -rf include cmake torch tools frontend/{jax,paddle,pytorch,tensorflow} libs/tbb.pc libs/cache.json libs/libopenvino_auto_batch_plugin.so
    rm -f libs/libopenvino_intel_{gpu,npu}_plugin.so
    rm -f libs/libopenvino_{tensorflow,tensorflow_lite,pytorch,paddle,jax,gguf}_frontend.so*
)

# ONNX Runtime: the same library a second time, for callers in C; helpers for transformers.
rm -rf onnxruntime/capi/libonnxruntime.so.1* onnxruntime/transformers onnxruntime/tools onnxruntime/datasets

# Commands of libraries, in any form.
rm -rf huey/bin onnx/bin onnx/defs/gen_doc.py

# What wheels put beside their modules: manuals, examples, settings.
rm -rf "$venv/include" "$venv/share" "$venv/etc"
