"""The operators of ONNX that a network of images consists of, whoever exports it.

None runs other graphs (If, Loop, Scan), draws random numbers, or holds text or lists. An operator of another domain
than ONNX's own is none of them.
"""

from __future__ import annotations

__all__ = ["CONTRACTIONS", "CONVOLUTIONS", "OPERATORS", "POOLS"]

# fmt: off
_ARITHMETIC = {
    "Abs", "Add", "And", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
    "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual",
    "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu",
    "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh",
    "ThresholdedRelu", "Where", "Xor", "Cast", "CastLike", "Identity",
}
_LAYERS = {
    "Attention", "AveragePool", "BatchNormalization", "Col2Im", "Conv", "ConvInteger", "ConvTranspose",
    "DequantizeLinear",
    "DynamicQuantizeLinear", "Einsum", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool",
    "GRU", "GroupNormalization", "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "LogSoftmax",
    "LpNormalization", "LpPool", "MatMul", "MatMulInteger", "MaxPool", "MeanVarianceNormalization", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear", "RMSNormalization", "RNN", "RotaryEmbedding", "Softmax",
}
_SHAPES = {
    "ArgMax", "ArgMin", "Concat", "Constant", "ConstantOfShape", "CumSum", "DepthToSpace", "Expand", "EyeLike",
    "Flatten", "Gather", "GatherElements", "GatherND", "GridSample", "OneHot", "Pad", "Range", "ReduceL1",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare", "Reshape", "Resize", "ScatterElements", "ScatterND", "Shape", "Size", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Upsample",
}
# fmt: on

OPERATORS = frozenset(_ARITHMETIC | _LAYERS | _SHAPES)

# Those that may take more than one look at each value.
CONTRACTIONS = frozenset(
    {"Attention", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "MatMulInteger", "QLinearMatMul", "RNN"}
)
CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"})
POOLS = frozenset({"AveragePool", "LpPool", "MaxPool", "LRN"})
