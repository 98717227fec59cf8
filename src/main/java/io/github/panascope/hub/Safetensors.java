package io.github.panascope.hub;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.MappedFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A safetensors file, memory-mapped. Its format: eight bytes little-endian with the length of a JSON header, that header
 * (name, dtype, shape and byte range of each tensor), then the bytes. Every range is checked against the file's length
 * before a tensor is made.
 */
public final class Safetensors {
    private static final int PREFIX = 8;
    private static final long MAX_HEADER = 100_000_000; // the format's own limit
    private static final Map<String, DType> DTYPES = Map.of("F64", DType.FLOAT64, "F32", DType.FLOAT32, "F16", DType.FLOAT16,
            "BF16", DType.BFLOAT16, "I64", DType.INT64, "I32", DType.INT32, "I16", DType.INT16, "I8", DType.INT8,
            "U8", DType.UINT8, "BOOL", DType.BOOL);

    /** What the header says of one tensor; offset counts from the start of the file. */
    private record Entry(DType dtype, Shape shape, long offset) {}

    private final Path file;
    private final MappedFile mapping;
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private Safetensors(Path file, MappedFile mapping) {
        this.file = file;
        this.mapping = mapping;
    }

    /**
     * Maps a file for as long as a scope lives.
     *
     * @throws InputException if it is missing, truncated or malformed
     */
    public static Safetensors open(Path file, TensorScope scope) {
        if (!Files.isRegularFile(file)) throw new InputException(file + " does not exist.");
        try {
            long size = Files.size(file);
            if (size < PREFIX) throw new InputException(file + " is not a safetensors file: it is only " + size + " bytes long.");
            Safetensors opened = new Safetensors(file, MappedFile.open(file, scope));
            opened.readHeader();
            return opened;
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    private void readHeader() {
        long length = ByteBuffer.wrap(mapping.bytes(0, PREFIX)).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length <= 1 || length > MAX_HEADER) throw new InputException(file + " is not a safetensors file: its header would be " + length + " bytes long.");
        if (PREFIX + length > mapping.size()) throw truncated("its header ends at byte " + (PREFIX + length));
        JsonNode header;
        try {
            header = JsonMapper.shared().readTree(new String(mapping.bytes(PREFIX, (int) length), StandardCharsets.UTF_8));
        } catch (JacksonException e) {
            throw new InputException(file + " is not a safetensors file: its header is not JSON.", e);
        }
        if (!header.isObject()) throw new InputException(file + " is not a safetensors file: its header is not a JSON object.");
        header.forEachEntry((name, node) -> {
            if (!name.equals("__metadata__")) entries.put(name, entry(name, node, PREFIX + length));
        });
    }

    private Entry entry(String name, JsonNode node, long dataStart) {
        JsonNode offsets = node.get("data_offsets"), sizes = node.get("shape"), type = node.get("dtype");
        if (offsets == null || sizes == null || type == null || !offsets.isArray() || offsets.size() != 2 || !sizes.isArray()) {
            throw new InputException(file + ": tensor '" + name + "' lacks its dtype, shape or data_offsets.");
        }
        DType dtype = DTYPES.get(type.asString());
        if (dtype == null) throw new InputException(file + ": tensor '" + name + "' has dtype " + type.asString() + ", which is not one of " + new java.util.TreeSet<>(DTYPES.keySet()) + ".");
        Shape shape;
        long bytes;
        try {
            shape = Shape.of(sizes.valueStream().mapToLong(JsonNode::longValue).toArray());
            bytes = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
        } catch (RuntimeException e) {
            throw new InputException(file + ": tensor '" + name + "' has an impossible shape " + sizes + ".", e);
        }
        long start = offsets.get(0).asLong(-1), end = offsets.get(1).asLong(-1);
        if (start < 0 || end - start != bytes) {
            throw new InputException(file + ": tensor '" + name + "' of shape " + shape + " and dtype " + dtype + " needs " + bytes + " bytes, but its range is " + start + " to " + end + ".");
        }
        if (dataStart + end > mapping.size()) throw truncated("tensor '" + name + "' ends at byte " + (dataStart + end));
        return new Entry(dtype, shape, dataStart + start);
    }

    private InputException truncated(String where) {
        return new InputException(file + " is truncated: " + where + ", and the file has " + mapping.size() + ". Fetch it again.");
    }

    /** The file it was read from. */
    public Path file() {
        return file;
    }

    /** The names of its tensors, in the header's order. */
    public Set<String> names() {
        return java.util.Collections.unmodifiableSet(entries.keySet());
    }

    /** Whether it holds a tensor of this name. */
    public boolean has(String name) {
        return entries.containsKey(name);
    }

    /** The shape of a tensor that is there. */
    public Shape shape(String name) {
        return require(name).shape;
    }

    /** The dtype of a tensor that is there. */
    public DType dtype(String name) {
        return require(name).dtype;
    }

    /** A tensor over the mapped bytes, in the innermost open scope; it must not outlive the mapping's scope. */
    public Tensor tensor(String name) {
        Entry entry = require(name);
        return mapping.tensor(entry.offset, entry.dtype, entry.shape);
    }

    /**
     * A floating-point tensor of a known shape.
     *
     * @throws InputException if it is missing, of another shape, or not floating-point
     */
    public Tensor weight(String name, Shape expected) {
        Entry entry = require(name);
        if (!entry.shape.equals(expected)) throw new InputException(file + ": tensor '" + name + "' has shape " + entry.shape + ", and " + expected + " was expected.");
        if (!entry.dtype.isFloatingPoint()) throw new InputException(file + ": tensor '" + name + "' has dtype " + entry.dtype + ", and a floating-point dtype was expected.");
        return tensor(name);
    }

    private Entry require(String name) {
        Entry entry = entries.get(name);
        if (entry == null) throw new InputException(file + " has no tensor '" + name + "'." + Nearest.advice(name, entries.keySet()));
        return entry;
    }
}
