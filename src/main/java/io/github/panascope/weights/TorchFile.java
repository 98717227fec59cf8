package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.MappedFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A file of tensors that {@code torch.save} wrote (a zip archive since PyTorch 1.6, a sequence of pickles before), or
 * the parameters and buffers of a TorchScript module. Only what rebuilds tensors is understood; any other Python name
 * in the file is refused. Nothing is executed, not even TorchScript.
 */
final class TorchFile implements StateDict {
    /** The largest size of a pickle, which holds names and sizes; that of GPT-2 XL has 100 KB. */
    private static final int MAX_PICKLE = 64 << 20;
    /** The largest rank that the native layer can describe. */
    private static final int MAX_RANK = 12;

    private static final Object LEGACY_MAGIC = new BigInteger("1950a86a20f9469cfc6c", 16);
    private static final Map<String, DType> STORAGES = Map.of(
            "DoubleStorage",
            DType.FLOAT64,
            "FloatStorage",
            DType.FLOAT32,
            "HalfStorage",
            DType.FLOAT16,
            "BFloat16Storage",
            DType.BFLOAT16,
            "LongStorage",
            DType.INT64,
            "IntStorage",
            DType.INT32,
            "ShortStorage",
            DType.INT16,
            "CharStorage",
            DType.INT8,
            "ByteStorage",
            DType.UINT8,
            "BoolStorage",
            DType.BOOL);

    /** Memory that several tensors can share. Its offset in the file is known only after the whole file is read. */
    private static final class Storage {
        final DType dtype;
        final long elements;
        long offset = -1;

        Storage(DType dtype, long elements) {
            this.dtype = dtype;
            this.elements = elements;
        }
    }

    /** A tensor as the pickle describes it; offset and strides count elements. */
    private record Entry(Storage storage, long offset, long[] sizes, long[] strides) {}

    private final Path file;
    private final MappedFile mapping;
    private long copied;
    private final Map<String, Storage> storages = new HashMap<>();
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private TorchFile(Path file, MappedFile mapping) {
        this.file = file;
        this.mapping = mapping;
    }

    /** Returns whether the first bytes of a file are those of a zip archive or a pickle. */
    static boolean recognises(byte[] start) {
        return start.length >= 2
                && (start[0] == 'P' && start[1] == 'K' || (start[0] & 0xff) == 0x80 && start[1] >= 2 && start[1] <= 5);
    }

    /** Reads the pickle of a mapped file, without its tensors. */
    static TorchFile open(Path file, MappedFile mapping) {
        TorchFile opened = new TorchFile(file, mapping);
        Object root = mapping.bytes(0, 1)[0] == 'P' ? opened.readZip() : opened.readLegacy();
        opened.collect("", root, Collections.newSetFromMap(new IdentityHashMap<>()));
        if (opened.entries.isEmpty()) throw new InputException(file + " holds no tensors by name.");
        return opened;
    }

    // ------------------------------------------------------------------------------------------------- the two layouts

    private Object readZip() {
        StoredZip zip = StoredZip.open(file, mapping, StoredZip.SOURCE_CODE);
        String pickle = zip.entries().keySet().stream()
                .filter(name -> name.matches("[^/]+/data\\.pkl"))
                .findFirst()
                .orElseThrow(() -> new InputException(
                        file + " is a zip archive without a data.pkl: it was not written by torch.save."));
        String root = pickle.substring(0, pickle.length() - "data.pkl".length());
        if (zip.entries().containsKey(root + "byteorder")
                && !new String(zip.bytes(root + "byteorder", 16), StandardCharsets.US_ASCII).equals("little")) {
            throw new InputException(file + " was written on a big-endian machine, which is not supported.");
        }
        ByteBuffer in = ByteBuffer.wrap(zip.bytes(pickle, MAX_PICKLE));
        Object result = new Pickle(file + "!" + pickle, in, id -> storage((List<?>) id), this::reduce).load();
        storages.forEach((key, storage) -> {
            StoredZip.Entry entry = zip.require(root + "data/" + key);
            if (entry.size() < bytes(storage))
                throw new InputException(file + ": the entry '" + root + "data/" + key + "' has " + entry.size()
                        + " bytes, and " + bytes(storage) + " were expected.");
            storage.offset = entry.offset();
        });
        return result;
    }

    private Object readLegacy() {
        ByteBuffer in = ByteBuffer.wrap(mapping.bytes(0, (int) Math.min(mapping.size(), MAX_PICKLE)));
        if (!LEGACY_MAGIC.equals(plain(in)))
            throw new InputException(file + " is a pickle, but not one that torch.save wrote.");
        plain(in); // the number of the protocol
        if (plain(in) instanceof Map<?, ?> system && Boolean.FALSE.equals(system.get("little_endian"))) {
            throw new InputException(file + " was written on a big-endian machine, which is not supported.");
        }
        Object result = new Pickle(file.toString(), in, id -> storage((List<?>) id), this::reduce).load();
        if (!(plain(in) instanceof List<?> keys))
            throw new InputException(file + " is damaged: no list of storages follows its pickle.");
        long at = in.position();
        for (Object key : keys) { // of each storage: the number of elements, then the elements
            Storage storage = key instanceof String ? storages.get(key) : null;
            if (storage == null || storage.offset >= 0 || at + 8 > mapping.size()) throw truncated();
            long elements = ByteBuffer.wrap(mapping.bytes(at, 8))
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .getLong();
            if (elements != storage.elements)
                throw new InputException(file + " is damaged: storage " + key + " has " + elements + " elements, and "
                        + storage.elements + " were expected.");
            storage.offset = at + 8;
            at += 8 + bytes(storage);
            if (at > mapping.size()) throw truncated();
        }
        if (storages.values().stream().anyMatch(storage -> storage.offset < 0)) throw truncated();
        return result;
    }

    private Object plain(ByteBuffer in) {
        return new Pickle(
                        file.toString(),
                        in,
                        id -> {
                            throw new InputException(file + " refers to a tensor where none is expected; refused.");
                        },
                        this::reduce)
                .load();
    }

    private InputException truncated() {
        return new InputException(file + " is truncated: it has " + mapping.size()
                + " bytes, and its tensors need more. Fetch it again.");
    }

    private static long bytes(Storage storage) {
        return storage.elements * storage.dtype.bytes();
    }

    // ------------------------------------------------------------------------------------------ the meaning of names

    /**
     * Returns the storage of a persistent id: ('storage', class, key, location, elements), followed by None in the
     * older layout.
     */
    private Storage storage(List<?> id) {
        if (id.size() < 5
                || !"storage".equals(id.get(0))
                || !(id.get(1) instanceof Pickle.Global type)
                || id.size() > 5 && id.get(5) != null) {
            throw new InputException(file + " refers to a tensor's memory in a way that is not understood; refused.");
        }
        DType dtype = type.module().equals("torch") ? STORAGES.get(type.name()) : null;
        if (dtype == null) throw new InputException(file + " holds a " + type + ", which is not supported.");
        long elements = (Long) id.get(4);
        if (elements < 0 || elements > mapping.size() / dtype.bytes()) throw truncated();
        Storage storage = storages.computeIfAbsent((String) id.get(2), key -> new Storage(dtype, elements));
        if (storage.dtype != dtype || storage.elements != elements)
            throw new InputException(file + " is damaged: it describes storage " + id.get(2) + " in two ways.");
        return storage;
    }

    /**
     * Applies a Python name to arguments. Tensors, dictionaries and the modules of TorchScript are understood; every
     * other name is refused.
     */
    private Object reduce(Pickle.Global function, List<?> arguments) {
        String name = function.toString();
        switch (name) {
            case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor" -> {
                return entry(
                        (Storage) arguments.get(0),
                        (Long) arguments.get(1),
                        longs(arguments.get(2)),
                        longs(arguments.get(3)));
            }
            case "torch._utils._rebuild_parameter" -> {
                return arguments.get(0);
            }
            case "collections.OrderedDict" -> {
                Map<Object, Object> map = new LinkedHashMap<>();
                if (!arguments.isEmpty())
                    for (Object pair : spent((List<?>) arguments.get(0)))
                        map.put((String) ((List<?>) pair).get(0), ((List<?>) pair).get(1));
                return map;
            }
            case "torch.Size",
                    "torch.jit._pickle.build_intlist",
                    "torch.jit._pickle.build_tensorlist",
                    "torch.jit._pickle.build_doublelist",
                    "torch.jit._pickle.build_boollist" -> {
                return arguments.get(0);
            }
            case "torch.jit._pickle.restore_type_tag" -> {
                return arguments.get(0);
            }
            default -> {
                if (function.module().equals("__torch__") || function.module().startsWith("__torch__."))
                    return new Pickle.PlainObject();
                throw new InputException(file + " wants to call the Python function " + name
                        + ", which no file of tensors needs; refused.");
            }
        }
    }

    private Entry entry(Storage storage, long offset, long[] sizes, long[] strides) {
        boolean sound = sizes.length == strides.length && offset >= 0;
        long last = offset;
        try {
            for (int i = 0; sound && i < sizes.length; i++) {
                sound = sizes[i] >= 0 && strides[i] >= 0;
                if (sizes[i] > 0) last = Math.addExact(last, Math.multiplyExact(sizes[i] - 1, strides[i]));
            }
        } catch (ArithmeticException e) {
            sound = false;
        }
        boolean empty = Arrays.stream(sizes).anyMatch(size -> size == 0);
        if (!sound || !empty && last >= storage.elements)
            throw new InputException(file + " is damaged: a tensor reaches beyond its memory.");
        Shape.of(sizes).elements(); // throws if they overflow
        return new Entry(storage, offset, sizes, strides);
    }

    /**
     * Counts the items of a list that is copied, since one list can be the argument of many calls; refuses more items
     * than the file has bytes. An undamaged file of tensors names each item once.
     */
    private List<?> spent(List<?> items) {
        copied += items.size();
        if (copied > mapping.size())
            throw new InputException(file + " is damaged: its dictionaries would be larger than the file.");
        return items;
    }

    private static long[] longs(Object list) {
        if (((List<?>) list).size() > MAX_RANK) throw new IllegalArgumentException();
        return ((List<?>) list).stream().mapToLong(number -> (Long) number).toArray();
    }

    /**
     * Collects tensors by name: those of a dictionary, or those of nested TorchScript modules, whose names are joined
     * by dots.
     */
    private void collect(String prefix, Object node, Set<Object> seen) {
        Map<?, ?> children = node instanceof Pickle.PlainObject object
                ? object.attributes
                : prefix.isEmpty() && node instanceof Map<?, ?> map ? map : null;
        if (children == null || seen.size() > 10_000 || !seen.add(node)) return; // a module can contain itself
        if (prefix.length() > 1000)
            throw new InputException(file + " is damaged: its modules lie too deep in one another.");
        children.forEach((key, value) -> {
            if (!(key instanceof String name)) return;
            if (value instanceof Entry entry) entries.put(prefix + name, entry);
            else collect(prefix + name + ".", value, seen);
        });
    }

    // ------------------------------------------------------------------------------------------------- tensors

    @Override
    public Path file() {
        return file;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(entries.keySet());
    }

    private Entry require(String name) {
        Entry entry = entries.get(name);
        if (entry == null) throw missing(name);
        return entry;
    }

    @Override
    public Shape shape(String name) {
        return Shape.of(require(name).sizes);
    }

    @Override
    public DType dtype(String name) {
        return require(name).storage.dtype;
    }

    @Override
    public Tensor tensor(String name) {
        Entry entry = require(name);
        Storage storage = entry.storage;
        Shape shape = Shape.of(entry.sizes);
        if (Arrays.equals(entry.strides, contiguous(entry.sizes))) {
            return mapping.tensor(storage.offset + entry.offset * storage.dtype.bytes(), storage.dtype, shape);
        }
        return mapping.tensor(storage.offset, storage.dtype, Shape.of(storage.elements))
                .asStrided(entry.sizes, entry.strides, entry.offset);
    }

    private static long[] contiguous(long[] sizes) {
        long[] strides = new long[sizes.length];
        long stride = 1;
        for (int i = sizes.length - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= Math.max(1, sizes[i]);
        }
        return strides;
    }
}
