package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.JsonError;
import io.github.panascope.internal.TextFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.MappedFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * A safetensors file, mapped into memory. The format consists of eight bytes with the little-endian length of a JSON
 * header, that header (name, dtype, shape and byte range of each tensor), and the data of the tensors without gap or
 * overlap. All of this is checked before a tensor is created.
 */
public final class Safetensors implements StateDict {
    /** The largest rank that the native layer can describe. */
    private static final int MAX_RANK = 12;

    private static final int PREFIX = 8;
    private static final long MAX_HEADER = 100_000_000; // the limit of the format itself
    private static final JsonMapper STRICT = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();
    private static final Map<String, DType> DTYPES = Map.of(
            "F64",
            DType.FLOAT64,
            "F32",
            DType.FLOAT32,
            "F16",
            DType.FLOAT16,
            "BF16",
            DType.BFLOAT16,
            "I64",
            DType.INT64,
            "I32",
            DType.INT32,
            "I16",
            DType.INT16,
            "I8",
            DType.INT8,
            "U8",
            DType.UINT8,
            "BOOL",
            DType.BOOL);

    /** The header's description of one tensor; the offset counts from the start of the file. */
    private record Entry(DType dtype, Shape shape, long offset) {}

    private final Path file;
    private final MappedFile mapping;
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private Safetensors(Path file, MappedFile mapping) {
        this.file = file;
        this.mapping = mapping;
    }

    /**
     * Maps a file into memory until a scope closes.
     *
     * @param file  the file
     * @param scope the scope in which the mapping lives; a tensor of the file may outlive it
     * @return the tensors of the file
     * @throws InputException if the file is missing, truncated or malformed
     */
    public static Safetensors open(Path file, TensorScope scope) {
        TextFile.requireRegular(file);
        try {
            return open(file, MappedFile.open(file, scope));
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e), e);
        }
    }

    /** Reads the header of a mapped file. */
    static Safetensors open(Path file, MappedFile mapping) {
        if (mapping.size() < PREFIX)
            throw new InputException(
                    file + " is not a safetensors file: it is only " + mapping.size() + " bytes long.");
        Safetensors opened = new Safetensors(file, mapping);
        opened.readHeader();
        return opened;
    }

    /**
     * Writes tensors to a file, which replaces an older one only when all is written, so that no incomplete file is
     * visible.
     *
     * @param file    the file to write
     * @param tensors tensors by name, in the order of the file; of any device and layout
     * @throws IllegalArgumentException if a tensor has a dtype that the format does not have
     * @throws InputException if the file cannot be written
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted; an older file is then unchanged
     */
    public static void write(Path file, Map<String, Tensor> tensors) {
        ObjectNode description = JsonMapper.shared().createObjectNode();
        description.putObject("__metadata__").put("format", "pt");
        long end = 0;
        for (var named : tensors.entrySet()) {
            Tensor tensor = named.getValue();
            String dtype = DTYPES.entrySet().stream()
                    .filter(known -> known.getValue() == tensor.dtype())
                    .findFirst()
                    .orElseThrow(() -> new IllegalArgumentException(
                            named.getKey() + " has dtype " + tensor.dtype() + ", which safetensors does not have"))
                    .getKey();
            long bytes = tensor.shape().elements() * tensor.dtype().bytes();
            ObjectNode entry = description.putObject(named.getKey()).put("dtype", dtype);
            for (long size : tensor.shape().sizes()) entry.withArray("shape").add(size);
            if (tensor.shape().rank() == 0) entry.putArray("shape");
            entry.putArray("data_offsets").add(end).add(end + bytes);
            end += bytes;
        }
        byte[] json = JsonMapper.shared().writeValueAsBytes(description);
        // The header is padded so that the data is aligned, as the reference implementation of the format does.
        int padded = (json.length + PREFIX - 1) / PREFIX * PREFIX;
        byte[] start = Arrays.copyOf(
                ByteBuffer.allocate(PREFIX)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(padded)
                        .array(),
                PREFIX + padded);
        Arrays.fill(start, PREFIX, start.length, (byte) ' ');
        System.arraycopy(json, 0, start, PREFIX, json.length);
        AtomicFile.write(file, out -> {
            ByteBuffer header = ByteBuffer.wrap(start);
            while (header.hasRemaining()) out.write(header);
            for (Tensor tensor : tensors.values()) tensor.writeTo(out);
        });
    }

    private void readHeader() {
        long length = ByteBuffer.wrap(mapping.bytes(0, PREFIX))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getLong();
        if (length <= 1 || length > MAX_HEADER)
            throw new InputException(
                    file + " is not a safetensors file: its header would be " + length + " bytes long.");
        if (PREFIX + length > mapping.size()) throw truncated("its header ends at byte " + (PREFIX + length));
        JsonNode header;
        try {
            header = STRICT.readTree(mapping.bytes(PREFIX, (int) length));
        } catch (JacksonException e) {
            throw new InputException(
                    file + " is not a safetensors file: "
                            + (JsonError.isKeyTwice(e) ? "in its header, " + JsonError.of(e) : "its header is not JSON")
                            + ".",
                    e);
        }
        if (!header.isObject())
            throw new InputException(file + " is not a safetensors file: its header is not a JSON object.");
        header.forEachEntry((name, node) -> {
            if (!name.equals("__metadata__")) entries.put(name, entry(name, node, PREFIX + length));
        });
        requireNoGapOrOverlap(PREFIX + length);
    }

    /** Orders tensors by offset; an empty tensor precedes the tensor that begins at the same offset. */
    private static final Comparator<Map.Entry<String, Entry>> BY_PLACE = Comparator.comparingLong(
                    (Map.Entry<String, Entry> e) -> e.getValue().offset)
            .thenComparingLong(e -> e.getValue().shape.elements());

    private void requireNoGapOrOverlap(long dataStart) {
        long at = dataStart;
        String before = null;
        for (var next : entries.entrySet().stream().sorted(BY_PLACE).toList()) {
            Entry entry = next.getValue();
            if (entry.offset != at) {
                throw new InputException(file + " is damaged: the range of tensor '" + next.getKey() + "' "
                        + (entry.offset < at ? "overlaps that of '" + before + "'." : "leaves a gap before it."));
            }
            at += entry.shape.elements() * entry.dtype.bytes();
            before = next.getKey();
        }
        if (at != mapping.size())
            throw new InputException(file + " is damaged: " + (mapping.size() - at) + " bytes follow its last tensor.");
    }

    private Entry entry(String name, JsonNode node, long dataStart) {
        JsonNode offsets = node.get("data_offsets");
        JsonNode sizes = node.get("shape");
        JsonNode type = node.get("dtype");
        if (offsets == null
                || sizes == null
                || type == null
                || !type.isString()
                || !offsets.isArray()
                || offsets.size() != 2
                || !sizes.isArray()
                || !sizes.valueStream().allMatch(JsonNode::isIntegralNumber)
                || !offsets.valueStream().allMatch(JsonNode::isIntegralNumber)) {
            throw new InputException(file + ": tensor '" + name
                    + "' lacks its dtype, shape or data_offsets, or has them in another form.");
        }
        DType dtype = DTYPES.get(type.stringValue());
        if (dtype == null)
            throw new InputException(file + ": tensor '" + name + "' has dtype " + type.stringValue()
                    + ", which is not one of " + new TreeSet<>(DTYPES.keySet()) + ".");
        Shape shape;
        long bytes;
        try {
            if (sizes.size() > MAX_RANK) throw new IllegalArgumentException();
            shape = Shape.of(sizes.valueStream().mapToLong(JsonNode::longValue).toArray());
            bytes = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
        } catch (RuntimeException e) {
            throw new InputException(file + ": tensor '" + name + "' has an impossible shape " + sizes + ".", e);
        }
        long start = offsets.get(0).asLong(-1);
        long end = offsets.get(1).asLong(-1);
        if (start < 0 || end - start != bytes) {
            throw new InputException(file + ": tensor '" + name + "' of shape " + shape + " and dtype " + dtype
                    + " needs " + bytes + " bytes, but its range is " + start + " to " + end + ".");
        }
        if (end > mapping.size() - dataStart)
            throw truncated("tensor '" + name + "' ends " + end + " bytes after the header");
        return new Entry(dtype, shape, dataStart + start);
    }

    private InputException truncated(String where) {
        return new InputException(file + " is truncated: " + where + ", and the file has " + mapping.size()
                + " bytes in all. Fetch it again.");
    }

    @Override
    public Path file() {
        return file;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(entries.keySet());
    }

    @Override
    public Shape shape(String name) {
        return require(name).shape;
    }

    @Override
    public DType dtype(String name) {
        return require(name).dtype;
    }

    @Override
    public Tensor tensor(String name) {
        Entry entry = require(name);
        return mapping.tensor(entry.offset, entry.dtype, entry.shape);
    }

    private Entry require(String name) {
        Entry entry = entries.get(name);
        if (entry == null) throw missing(name);
        return entry;
    }
}
