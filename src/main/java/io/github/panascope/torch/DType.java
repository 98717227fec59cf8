package io.github.panascope.torch;

/** Element types of tensors, under their PyTorch names. */
public enum DType {
    /** 32-bit floating point. */
    FLOAT32(1, 4, "float32"),
    /** 64-bit floating point. */
    FLOAT64(2, 8, "float64"),
    /** IEEE 754 half precision. */
    FLOAT16(3, 2, "float16"),
    /** The upper half of a float32. */
    BFLOAT16(4, 2, "bfloat16"),
    /** 64-bit integer; the type of token ids and indices. */
    INT64(5, 8, "int64"),
    /** 32-bit integer. */
    INT32(6, 4, "int32"),
    /** 16-bit integer. */
    INT16(7, 2, "int16"),
    /** 8-bit integer. */
    INT8(8, 1, "int8"),
    /** Unsigned 8-bit integer. */
    UINT8(9, 1, "uint8"),
    /** Truth value, one byte. */
    BOOL(10, 1, "bool");

    private static final DType[] BY_CODE = new DType[16];

    static {
        for (DType dtype : values()) BY_CODE[dtype.code] = dtype;
    }

    /**
     * The shim's code. Written out here: asking the bindings for it would need the library to be loaded before a dtype
     * can be named.
     */
    final int code;

    private final int bytes;
    private final String name;

    DType(int code, int bytes, String name) {
        this.code = code;
        this.bytes = bytes;
        this.name = name;
    }

    static DType ofCode(int code) {
        DType dtype = BY_CODE[code];
        if (dtype == null) throw new TorchException("a tensor has a dtype that Panascope does not know");
        return dtype;
    }

    /**
     * The type of a PyTorch name, with or without {@code torch.} before it.
     *
     * @throws IllegalArgumentException if no type has that name
     */
    public static DType ofName(String name) {
        String plain = name.startsWith("torch.") ? name.substring("torch.".length()) : name;
        for (DType dtype : values()) if (dtype.name.equals(plain)) return dtype;
        throw new IllegalArgumentException("'" + name + "' is not a dtype");
    }

    /** Bytes per element. */
    public int bytes() {
        return bytes;
    }

    /** Whether this is one of the floating-point types. */
    public boolean isFloatingPoint() {
        return this == FLOAT32 || this == FLOAT64 || this == FLOAT16 || this == BFLOAT16;
    }

    /** The PyTorch name, such as {@code float32}. */
    @Override
    public String toString() {
        return name;
    }
}
