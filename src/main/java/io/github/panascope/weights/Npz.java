package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.MappedFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Arrays that {@code numpy.savez} or {@code numpy.savez_compressed} wrote: a zip archive with a member NAME.npy for
 * each array. A member has a header (dtype, order and shape, as the text of a Python dictionary) and then the elements.
 * Stored members are mapped; deflated ones are decompressed into the tensor when it is asked for. Arrays of Python
 * objects, which are pickles, are refused.
 */
final class Npz implements StateDict {
    /** The number of bytes from which {@link #recognises} can tell. */
    static final int START = 300;

    /** The largest ratio of compression that deflate can reach. */
    private static final long MAX_RATIO = 1032;

    /**
     * The number of bytes up to which a stored array is copied. numpy does not align arrays in an archive, so most
     * large ones are copies too, and a small one that is not would keep all of the archive in memory beside them.
     */
    private static final int SMALL = 1 << 20;

    private static final int MAX_RANK = 12;
    private static final int LOCAL = 30;
    private static final int MAX_HEADER = 1 << 16;
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
    private static final Pattern HEADER = Pattern.compile("\\s*\\{\\s*'descr':\\s*(?<descr>'[^']*'|\\[.*\\])\\s*,"
            + "\\s*'fortran_order':\\s*(?<fortran>True|False)\\s*,"
            + "\\s*'shape':\\s*\\((?<shape>[\\d\\s,]*)\\)\\s*,?\\s*\\}\\s*");
    /** The numpy types by the characters after that of the byte order. */
    private static final Map<String, DType> DTYPES = Map.of(
            "f8",
            DType.FLOAT64,
            "f4",
            DType.FLOAT32,
            "f2",
            DType.FLOAT16,
            "i8",
            DType.INT64,
            "i4",
            DType.INT32,
            "i2",
            DType.INT16,
            "i1",
            DType.INT8,
            "u1",
            DType.UINT8,
            "b1",
            DType.BOOL);

    /**
     * An array of the archive.
     *
     * @param member  the name of its member
     * @param skipped the number of bytes before the elements
     * @param fortran true if the first index varies fastest
     */
    private record Array(String member, int skipped, DType dtype, Shape shape, boolean fortran) {}

    private final Path file;
    private final MappedFile mapping;
    private final StoredZip zip;
    private final Map<String, Array> arrays = new LinkedHashMap<>();

    private Npz(Path file, MappedFile mapping) {
        this.file = file;
        this.mapping = mapping;
        this.zip = StoredZip.open(file, mapping, mapping.size() * MAX_RATIO);
    }

    /** Returns whether the first bytes of a file are those of a zip archive whose first member is an array. */
    static boolean recognises(byte[] start) {
        if (start.length < LOCAL || start[0] != 'P' || start[1] != 'K') return false;
        int end = LOCAL + ((start[26] & 0xff) | (start[27] & 0xff) << 8);
        return end <= start.length && new String(start, LOCAL, end - LOCAL, StandardCharsets.UTF_8).endsWith(".npy");
    }

    /** Reads the headers of all arrays of a mapped file. */
    static Npz open(Path file, MappedFile mapping) {
        Npz opened = new Npz(file, mapping);
        for (String member : opened.zip.entries().keySet()) {
            if (!member.endsWith(".npy"))
                throw new InputException(file + ": the member '" + member + "' is not an array of numpy.");
            opened.arrays.put(member.substring(0, member.length() - ".npy".length()), opened.array(member));
        }
        return opened;
    }

    private Array array(String member) {
        String place = file + ": the array '" + member + "'";
        try (InputStream in = zip.stream(member)) {
            byte[] start = in.readNBytes(MAGIC.length + 2);
            for (int i = 0; i < MAGIC.length; i++)
                if (start.length < MAGIC.length + 2 || start[i] != MAGIC[i])
                    throw new InputException(place + " is damaged: it does not begin as an array of numpy does.");
            int version = start[MAGIC.length];
            if (version < 1 || version > 3)
                throw new InputException(place + " has version " + version + " of the format, and 1 to 3 are known.");
            byte[] count = in.readNBytes(version == 1 ? 2 : 4);
            long length = IntStream.range(0, count.length)
                    .mapToLong(i -> (count[i] & 0xffL) << 8 * i)
                    .sum();
            if (length > MAX_HEADER)
                throw new InputException(place + " has a header of " + length + " bytes; refused.");
            byte[] text = in.readNBytes((int) length);
            if (text.length < length) throw new InputException(place + " is truncated: its header ends early.");
            int skipped = start.length + count.length + text.length;
            return described(place, member, skipped, new String(text, StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new InputException(place + " cannot be read: " + InputException.reason(e), e);
        }
    }

    private Array described(String place, String member, int skipped, String header) {
        Matcher found = HEADER.matcher(header);
        if (!found.matches()) throw new InputException(place + " has a header that is not understood; refused.");
        String descr = found.group("descr");
        if (descr.contains("|O"))
            throw new InputException(place + " holds Python objects (dtype " + descr
                    + "), which only running a pickle could rebuild; refused.");
        DType dtype = descr.matches("'[<|=].*'") ? DTYPES.get(descr.substring(2, descr.length() - 1)) : null;
        if (dtype == null)
            throw new InputException(
                    place + " has dtype " + descr + ", which is not a little-endian number that is supported.");
        Shape shape;
        long bytes;
        try {
            String sizes = found.group("shape").replaceAll("\\s", "");
            String[] parts = sizes.isEmpty() ? new String[0] : sizes.split(",");
            if (parts.length > MAX_RANK) throw new IllegalArgumentException();
            shape = Shape.of(LongStream.range(0, parts.length)
                    .map(i -> Long.parseLong(parts[(int) i]))
                    .toArray());
            bytes = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
        } catch (RuntimeException e) {
            throw new InputException(place + " has an impossible shape (" + found.group("shape") + ").", e);
        }
        long there = zip.entries().get(member).size() - skipped;
        if (bytes != there)
            throw new InputException(place + " of shape " + shape + " and dtype " + dtype + " needs " + bytes
                    + " bytes, and the archive says that it has " + there + ".");
        return new Array(member, skipped, dtype, shape, found.group("fortran").equals("True"));
    }

    @Override
    public Path file() {
        return file;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(arrays.keySet());
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
        Array array = require(name);
        int rank = array.shape.rank();
        if (!array.fortran || rank < 2) return elements(array, array.shape);
        int[] backwards = IntStream.range(0, rank).map(i -> rank - 1 - i).toArray();
        long[] sizes =
                IntStream.of(backwards).mapToLong(i -> array.shape.size(i)).toArray();
        TensorScope scope = TensorScope.current();
        try (var _ = TensorScope.open()) {
            return scope.adopt(elements(array, Shape.of(sizes)).permute(backwards));
        }
    }

    /** Returns the elements in the order of the file, mapped or decompressed. */
    private Tensor elements(Array array, Shape shape) {
        StoredZip.Entry entry = zip.entries().get(array.member);
        if (entry.stored()) {
            long offset = entry.offset() + array.skipped;
            if (shape.elements() * array.dtype.bytes() > SMALL) return mapping.tensor(offset, array.dtype, shape);
            TensorScope scope = TensorScope.current();
            try (var _ = TensorScope.open()) {
                return scope.adopt(mapping.tensor(offset, array.dtype, shape).copy());
            }
        }
        try (InputStream in = zip.stream(array.member)) {
            in.skipNBytes(array.skipped);
            Tensor tensor = Tensor.empty(array.dtype, shape, Device.CPU);
            tensor.readFrom(Channels.newChannel(in));
            return tensor;
        } catch (IOException e) {
            throw new InputException(
                    file + " is damaged: the array '" + array.member + "' cannot be decompressed ("
                            + InputException.reason(e) + ").",
                    e);
        }
    }

    private Array require(String name) {
        Array array = arrays.get(name);
        if (array == null) throw missing(name);
        return array;
    }
}
