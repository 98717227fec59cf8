package io.github.panascope.torch;

/** Element types of tensors, under their PyTorch names. */
public enum DType {
    /** 32-bit floating point. */
    FLOAT32(1, 4, "float32"),
    /** 64-bit floating point. */
    FLOAT64(2, 8, "float64"),
    /** 16-bit floating point: IEEE 754 half precision. */
    FLOAT16(3, 2, "float16"),
    /** 16-bit floating point: the upper half of a float32. */
    BFLOAT16(4, 2, "bfloat16"),
    /** 64-bit signed integer; the type of token ids and indices. */
    INT64(5, 8, "int64"),
    /** 32-bit signed integer. */
    INT32(6, 4, "int32"),
    /** 16-bit signed integer. */
    INT16(7, 2, "int16"),
    /** 8-bit signed integer. */
    INT8(8, 1, "int8"),
    /** 8-bit unsigned integer. */
    UINT8(9, 1, "uint8"),
    /** Boolean of one byte. */
    BOOL(10, 1, "bool");

    private static final DType[] BY_CODE = new DType[16];

    static {
        for (DType dtype : values()) BY_CODE[dtype.code] = dtype;
    }

    /**
     * The code in psc.h. Written out here: reading it from the bindings would need the library to be loaded before a
     * dtype can be named.
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
     * Finds a type by its PyTorch name.
     *
     * @param name the name, with or without {@code torch.} before it, such as {@code torch.float32}
     * @return the type
     * @throws IllegalArgumentException if no type has that name
     */
    public static DType ofName(String name) {
        String plain = name.startsWith("torch.") ? name.substring("torch.".length()) : name;
        for (DType dtype : values()) if (dtype.name.equals(plain)) return dtype;
        throw new IllegalArgumentException("'" + name + "' is not a dtype");
    }

    /** {@return the size of an element, in bytes} */
    public int bytes() {
        return bytes;
    }

    /** {@return whether this is one of the floating-point types} */
    public boolean isFloatingPoint() {
        return this == FLOAT32 || this == FLOAT64 || this == FLOAT16 || this == BFLOAT16;
    }

    /** {@return the PyTorch name, such as {@code float32}} */
    @Override
    public String toString() {
        return name;
    }
}
