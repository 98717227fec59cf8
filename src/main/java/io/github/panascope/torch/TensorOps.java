package io.github.panascope.torch;

/** The operators behind Tensor's methods, looked up once. A new one needs a line, a method in Tensor and a test. */
final class TensorOps {
    private TensorOps() {}

    static final Op ADD = Op.of("aten::add", "Tensor");
    static final Op ADD_ = Op.of("aten::add_", "Tensor");
    static final Op ADD_SCALAR = Op.of("aten::add", "Scalar");
    static final Op SUB = Op.of("aten::sub", "Tensor");
    static final Op MUL = Op.of("aten::mul", "Tensor");
    static final Op MUL_SCALAR = Op.of("aten::mul", "Scalar");
    static final Op DIV = Op.of("aten::div", "Tensor");
    static final Op SUB_ = Op.of("aten::sub_", "Tensor");
    static final Op MUL_ = Op.of("aten::mul_", "Tensor");
    static final Op ZERO_ = Op.of("aten::zero_", "");
    static final Op COPY_ = Op.of("aten::copy_", "");
    static final Op MATMUL = Op.of("aten::matmul", "");
    static final Op ADDMM = Op.of("aten::addmm", "");
    static final Op ADDCMUL = Op.of("aten::addcmul", "");
    static final Op RELU = Op.of("aten::relu", "");
    static final Op RELU_ = Op.of("aten::relu_", "");
    static final Op SQRT = Op.of("aten::sqrt", "");
    static final Op EXP = Op.of("aten::exp", "");
    static final Op GT = Op.of("aten::gt", "Scalar");
    static final Op GT_TENSOR = Op.of("aten::gt", "Tensor");
    static final Op CLAMP_MIN = Op.of("aten::clamp_min", "");
    static final Op SCATTER = Op.of("aten::scatter", "src");
    static final Op AS_STRIDED = Op.of("aten::as_strided", "");
    static final Op MEAN = Op.of("aten::mean", "dim");
    static final Op MEAN_ALL = Op.of("aten::mean", "");
    static final Op SUM = Op.of("aten::sum", "dim_IntList");
    static final Op SUM_ALL = Op.of("aten::sum", "");
    static final Op NORM = Op.of("aten::norm", "ScalarOpt_dim");
    static final Op STD = Op.of("aten::std", "correction");
    static final Op SOFTMAX = Op.of("aten::softmax", "int");
    static final Op LOG_SOFTMAX = Op.of("aten::log_softmax", "int");
    static final Op GATHER = Op.of("aten::gather", "");
    static final Op SORT = Op.of("aten::sort", "stable");
    static final Op TOPK = Op.of("aten::topk", "");
    static final Op SLICE = Op.of("aten::slice", "Tensor");
    static final Op SELECT = Op.of("aten::select", "int");
    static final Op INDEX_SELECT = Op.of("aten::index_select", "");
    static final Op INDEX_FILL = Op.of("aten::index_fill", "int_Scalar");
    static final Op RESHAPE = Op.of("aten::reshape", "");
    static final Op T = Op.of("aten::t", "");
    static final Op TRANSPOSE = Op.of("aten::transpose", "int");
    static final Op UNSQUEEZE = Op.of("aten::unsqueeze", "");
    static final Op CAT = Op.of("aten::cat", "");
    static final Op CLONE = Op.of("aten::clone", "");
    static final Op CONTIGUOUS = Op.of("aten::contiguous", "");
    static final Op TO_DTYPE = Op.of("aten::to", "dtype");
    static final Op TO_DEVICE = Op.of("aten::to", "device");
    static final Op IS_PINNED = Op.of("aten::is_pinned", "");
    static final Op DETACH = Op.of("aten::detach", "");
    static final Op WHERE = Op.of("aten::where", "self");
    static final Op EQ_TENSOR = Op.of("aten::eq", "Tensor");
    static final Op ARGMAX = Op.of("aten::argmax", "");
    static final Op STACK = Op.of("aten::stack", "");
    static final Op ABS = Op.of("aten::abs", "");
    static final Op EQ = Op.of("aten::eq", "Scalar");
    static final Op ZEROS_LIKE = Op.of("aten::zeros_like", "");
    static final Op EQUAL = Op.of("aten::equal", "");
}
