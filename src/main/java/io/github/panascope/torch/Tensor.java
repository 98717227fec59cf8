package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_tensor_info;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.Arrays;
import java.util.Objects;

/**
 * A handle to a tensor of libtorch, owned by a {@link TensorScope}.
 *
 * <p>Methods that return a tensor leave it in the innermost open scope of the calling thread, and need one to be open.
 * A result may share memory with its operand where PyTorch's would (views). Two handles are equal only if they are the
 * same object. Shapes are written as PyTorch writes them; a negative dimension counts from the end.
 *
 * <p>Unless a method says otherwise: operands must lie on one device; shapes, dtypes or devices that do not fit are a
 * {@link TorchException}; a closed scope is an {@link IllegalStateException}.
 */
public final class Tensor {
    private final MemorySegment handle;
    private final TensorScope scope;
    private final int slot;
    private boolean freed;
    /** Whether its memory was given out. */
    private boolean exposed;

    private DType dtype;
    private Shape shape;
    private Device device;

    /** {@code slot} is its place among the scope's own, or -1 if somebody else frees it. */
    Tensor(MemorySegment handle, TensorScope scope, int slot) {
        this.handle = handle;
        this.scope = scope;
        this.slot = slot;
    }

    /** Checked here and not left to the linker: the generated bindings turn its exceptions into AssertionErrors. */
    MemorySegment handle() {
        if (freed) throw new IllegalStateException("this tensor was freed");
        scope.checkUsable();
        return handle;
    }

    TensorScope scope() {
        return scope;
    }

    // ------------------------------------------------------------------------------------------------ making tensors

    /** A tensor of uninitialised memory. */
    public static Tensor empty(DType dtype, Shape shape, Device device) {
        if (!device.isCpu()) device.requireUsable();
        TensorScope scope = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(
                    Psc.psc_tensor_empty(
                            dtype.code, scratch.longs(shape.sizes()), shape.rank(), device.code(), device.index(), out),
                    () -> "making a " + dtype + " tensor of shape " + shape + " on " + device);
            return scope.own(out.get(ADDRESS, 0));
        }
    }

    /** A tensor of zeros on a device. */
    public static Tensor zeros(DType dtype, Shape shape, Device device) {
        return empty(dtype, shape, device).zero_();
    }

    /** A CPU tensor of zeros. */
    public static Tensor zeros(DType dtype, Shape shape) {
        return empty(dtype, shape, Device.CPU).zero_();
    }

    /** A float32 CPU tensor holding a copy of these values, row by row. */
    public static Tensor of(float[] values, Shape shape) {
        requireElements(values.length, shape);
        Tensor tensor = empty(DType.FLOAT32, shape, Device.CPU);
        MemorySegment.copy(values, 0, tensor.memory(), ValueLayout.JAVA_FLOAT, 0, values.length);
        return tensor;
    }

    /** An int64 CPU tensor holding a copy of these values, row by row. */
    public static Tensor of(long[] values, Shape shape) {
        requireElements(values.length, shape);
        Tensor tensor = empty(DType.INT64, shape, Device.CPU);
        MemorySegment.copy(values, 0, tensor.memory(), ValueLayout.JAVA_LONG, 0, values.length);
        return tensor;
    }

    /** The same on a device, which is not waited for. */
    public static Tensor of(float[] values, Shape shape, Device device) {
        return device.isCpu() ? of(values, shape) : of(values, shape).to(device);
    }

    /** The same on a device, which is not waited for. */
    public static Tensor of(long[] values, Shape shape, Device device) {
        return device.isCpu() ? of(values, shape) : of(values, shape).to(device);
    }

    /** A float64 CPU tensor holding a copy of these values, row by row. */
    public static Tensor of(double[] values, Shape shape) {
        requireElements(values.length, shape);
        Tensor tensor = empty(DType.FLOAT64, shape, Device.CPU);
        MemorySegment.copy(values, 0, tensor.memory(), ValueLayout.JAVA_DOUBLE, 0, values.length);
        return tensor;
    }

    /** An int64 CPU tensor of shape [1, n] holding these token ids. */
    public static Tensor ofTokens(int... tokens) {
        return of(Arrays.stream(tokens).asLongStream().toArray(), Shape.of(1, tokens.length));
    }

    /**
     * A row-major CPU tensor over foreign memory, without a copy. The caller keeps the memory, and must keep it alive
     * until every tensor that shares it (this one, its views, their aliases) is freed: let its arena outlive the scope.
     *
     * @param memory native and writable, of exactly the bytes that the shape needs, aligned to the element size
     * @throws IllegalArgumentException if the memory is on the heap, read-only, unaligned or of another size
     */
    public static Tensor wrap(MemorySegment memory, DType dtype, Shape shape) {
        long bytes = Math.multiplyExact(shape.elements(), (long) dtype.bytes());
        if (!memory.isNative())
            throw new IllegalArgumentException("only native memory can be wrapped; this segment lies on the Java heap");
        if (!memory.scope().isAlive()) throw new IllegalArgumentException("the memory's arena is closed");
        if (!memory.isAccessibleBy(Thread.currentThread()))
            throw new IllegalArgumentException("the memory's arena belongs to another thread");
        if (memory.isReadOnly())
            throw new IllegalArgumentException(
                    "read-only memory cannot be wrapped: an operator writing to it would end the JVM");
        if (memory.byteSize() != bytes) {
            throw new IllegalArgumentException("a " + dtype + " tensor of shape " + shape + " needs " + bytes
                    + " bytes, not " + memory.byteSize());
        }
        if (memory.address() % dtype.bytes() != 0)
            throw new IllegalArgumentException("the memory is not aligned to " + dtype.bytes() + " bytes");
        TensorScope scope = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(
                    Psc.psc_tensor_wrap(memory, dtype.code, scratch.longs(shape.sizes()), shape.rank(), out),
                    () -> "wrapping " + bytes + " bytes as " + dtype + " " + shape);
            return scope.own(out.get(ADDRESS, 0));
        }
    }

    /**
     * A tensor of another native library of this process, without a copy.
     *
     * @param managed a DLPack {@code DLManagedTensor*} (unversioned). Taken over if this succeeds: its deleter is
     *     called when the last tensor that shares the memory is freed
     * @throws TorchException if its dtype or device is not known here
     */
    public static Tensor fromDlpack(MemorySegment managed) {
        requirePointer(managed);
        TensorScope scope = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_dlpack_import(managed, out), "taking a DLPack tensor");
            return scope.own(out.get(ADDRESS, 0));
        }
    }

    /** The same of one that was made here: it is given away. */
    public static Tensor fromDlpack(Dlpack tensor) {
        MemorySegment managed = tensor.give();
        try {
            return fromDlpack(managed);
        } catch (RuntimeException | Error e) {
            Psc.psc_dlpack_free(managed);
            throw e;
        }
    }

    /**
     * A column of another native library of this process, without a copy: of numbers [rows], or of fixed-size lists of
     * numbers [rows, n].
     *
     * @param schema an Arrow {@code struct ArrowSchema}; released if this succeeds
     * @param array  its {@code struct ArrowArray}; moved out of there if this succeeds, and released when the last
     *     tensor that shares the memory is freed
     * @throws TorchException if the column has missing values, or is none of numbers
     */
    public static Tensor fromArrow(MemorySegment schema, MemorySegment array) {
        requirePointer(schema);
        requirePointer(array);
        TensorScope scope = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_arrow_import(schema, array, out), "taking an Arrow column");
            return scope.own(out.get(ADDRESS, 0));
        }
    }

    private static void requirePointer(MemorySegment pointer) {
        if (!pointer.isNative() || pointer.address() == 0)
            throw new IllegalArgumentException("a pointer into native memory is needed, not " + pointer);
        if (!pointer.scope().isAlive()) throw new IllegalArgumentException("the memory's arena is closed");
        if (!pointer.isAccessibleBy(Thread.currentThread()))
            throw new WrongThreadException("the memory belongs to the arena of another thread");
    }

    private static void requireElements(int count, Shape shape) {
        if (count != shape.elements())
            throw new IllegalArgumentException(
                    "shape " + shape + " holds " + shape.elements() + " elements, not " + count);
    }

    // ------------------------------------------------------------------------------------------------- what it is

    /** The element type. */
    public DType dtype() {
        describe();
        return dtype;
    }

    /** The sizes of its dimensions. */
    public Shape shape() {
        describe();
        return shape;
    }

    /** Where its memory lies. */
    public Device device() {
        describe();
        return device;
    }

    /** The size of one dimension. */
    public long size(int dimension) {
        return shape().size(dimension);
    }

    /** Whether its elements lie row by row without gaps. */
    public boolean isContiguous() {
        try (Scratch scratch = Scratch.open()) {
            return psc_tensor_info.contiguous(info(scratch)) != 0;
        }
    }

    private void describe() {
        if (shape != null) return; // dtype, shape and device of a libtorch tensor handle never change here
        try (Scratch scratch = Scratch.open()) {
            MemorySegment info = info(scratch);
            long[] sizes = new long[psc_tensor_info.rank(info)];
            // Not psc_tensor_info.sizes(info, i): jextract's accessor of one array element forgets the field's offset.
            MemorySegment.copy(psc_tensor_info.sizes(info), ValueLayout.JAVA_LONG, 0, sizes, 0, sizes.length);
            dtype = DType.ofCode(psc_tensor_info.dtype(info));
            device = Device.ofCode(psc_tensor_info.device_type(info), psc_tensor_info.device_index(info));
            shape = Shape.of(sizes);
        }
    }

    private MemorySegment info(Scratch scratch) {
        MemorySegment info = scratch.bytes(psc_tensor_info.sizeof());
        Native.check(Psc.psc_tensor_describe(handle(), info), "describing a tensor");
        return info;
    }

    // ----------------------------------------------------------------------------------------------- data and life

    /**
     * The tensor's own memory, without a copy: writing to it writes to the tensor. It lives as long as this tensor's
     * scope, whose closing alone then frees the memory ({@link #free} no longer does).
     *
     * @throws IllegalStateException if the tensor is not on the CPU or not contiguous
     */
    public MemorySegment segment() {
        MemorySegment memory = memory();
        exposed = true;
        return memory;
    }

    /**
     * This tensor for another native library, without a copy; close it, or give it away.
     *
     * @throws TorchException if the memory is only borrowed ({@link #wrap}, mapped weights), since nothing could keep
     *     it alive
     */
    public Dlpack toDlpack() {
        return new Dlpack(this);
    }

    /**
     * This tensor as an Arrow column, without a copy; close it once it is imported. Needs a contiguous CPU tensor of
     * rank 1 or 2, of a dtype but bool and bfloat16.
     *
     * @throws TorchException as {@link #toDlpack} does, or if it cannot be a column
     */
    public ArrowColumn toArrow(String name) {
        return new ArrowColumn(this, name);
    }

    /** The same for those who let go of it before they return. */
    MemorySegment memory() {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment info = info(scratch);
            int kind = psc_tensor_info.memory(info);
            if (kind == Psc.PSC_MEMORY_NONE())
                throw new IllegalStateException(
                        "this tensor has no elements in rows, as it is sparse or quantized or without memory: make a"
                                + " dense one of it first");
            if (psc_tensor_info.device_type(info) != Psc.PSC_DEVICE_CPU())
                throw new IllegalStateException("only CPU memory can be seen from Java: call to(Device.CPU) first");
            if (kind == Psc.PSC_MEMORY_LAZY())
                throw new IllegalStateException(
                        "the elements are not in memory as they are read, but negated, conjugated or left out as"
                                + " zeros: call copy() first");
            if (psc_tensor_info.contiguous(info) == 0)
                throw new IllegalStateException("the elements do not lie row by row: call contiguous() first");
            return MemorySegment.ofAddress(psc_tensor_info.address(info))
                    .reinterpret(psc_tensor_info.bytes(info), scope.arena(), null);
        }
    }

    /** A copy of the elements as floats, row by row, whatever the dtype and device. */
    public float[] toFloats() {
        return Elements.floats(this);
    }

    /**
     * The same into an array that is there already, from its beginning, for those who read many tensors.
     *
     * @return how many elements that were
     * @throws IllegalArgumentException if the array is too short
     */
    public int toFloats(float[] into) {
        return Elements.floats(this, into);
    }

    /**
     * A copy of the elements as longs, row by row; floating-point elements lose their fraction.
     *
     * @throws ArithmeticException if one is no number, or outside what a long can hold
     */
    public long[] toLongs() {
        return Elements.longs(this);
    }

    /**
     * A copy of the elements as ints, row by row; floating-point elements lose their fraction.
     *
     * @throws ArithmeticException if one is no number, or outside what an int can hold
     */
    public int[] toInts() {
        return Elements.ints(this);
    }

    /** A copy of the elements as doubles, row by row. */
    public double[] toDoubles() {
        return Elements.doubles(this);
    }

    /**
     * The only element, as a double.
     *
     * @throws IllegalStateException if there is not exactly one
     * @throws ArithmeticException if it is a whole number that no double is
     */
    public double item() {
        if (shape().elements() != 1)
            throw new IllegalStateException("item() needs one element; this tensor has shape " + shape);
        double item = toDoubles()[0];
        if (dtype() == DType.INT64 && Math.abs(item) >= 1L << 53 && toLongs()[0] != (long) item)
            throw new ArithmeticException("the element " + toLongs()[0] + " is no double: use toLongs()");
        return item;
    }

    /**
     * Writes the elements to a channel, row by row in the machine's byte order; copied to the CPU first if they are not
     * there.
     */
    public void writeTo(WritableByteChannel out) throws IOException {
        Elements.write(this, out);
    }

    /**
     * Fills a contiguous CPU tensor with the bytes of a channel, as they are in memory.
     *
     * @throws java.io.EOFException if the channel ends before
     */
    public void readFrom(ReadableByteChannel in) throws IOException {
        Elements.read(in, this);
    }

    /** This tensor where a condition (bool) holds, the other elsewhere; all three broadcast. */
    public Tensor where(Tensor condition, Tensor other) {
        return Ops.WHERE.tensor(condition, this, other);
    }

    /** Whether each element is a number, as bool. */
    public Tensor eq(double number) {
        return Ops.EQ.tensor(this, number);
    }

    /** Elementwise equality, broadcast, as bool. */
    public Tensor eq(Tensor other) {
        return Ops.EQ_TENSOR.tensor(this, other);
    }

    /** The index of the largest element over one dimension, which disappears: int64; the first of equal ones. */
    public Tensor argmax(int dimension) {
        return Ops.ARGMAX.tensor(this, dimension, false);
    }

    /** Elementwise |x|. */
    public Tensor abs() {
        return Ops.ABS.tensor(this);
    }

    /** The same memory, cut off from gradients. */
    public Tensor detach() {
        return Ops.DETACH.tensor(this);
    }

    /** Another handle to the same tensor, in the innermost open scope. */
    public Tensor alias() {
        return TensorScope.current().adopt(this);
    }

    /** Another handle to the same tensor, in the scope outside the innermost one: for returning a result. */
    public Tensor promote() {
        return TensorScope.current().outer().adopt(this);
    }

    /**
     * Frees this handle now, before its scope closes; for what is large and no longer needed. Again does nothing.
     *
     * @throws IllegalStateException if it belongs to a shared scope
     */
    public void free() {
        if (freed || slot < 0) return;
        if (exposed) scope.checkUsable(); // somebody may still look at its memory
        else scope.free(handle, slot);
        freed = true;
    }

    // ------------------------------------------------------------------------------------------------- operators

    /** Elementwise sum, broadcast. */
    public Tensor add(Tensor other) {
        return Ops.ADD.tensor(this, other);
    }

    /** Elementwise difference, broadcast. */
    public Tensor sub(Tensor other) {
        return Ops.SUB.tensor(this, other);
    }

    /** Elementwise product, broadcast. */
    public Tensor mul(Tensor other) {
        return Ops.MUL.tensor(this, other);
    }

    /** Product with a number. */
    public Tensor mul(double factor) {
        return Ops.MUL_SCALAR.tensor(this, factor);
    }

    /** Elementwise quotient, broadcast. */
    public Tensor div(Tensor other) {
        return Ops.DIV.tensor(this, other);
    }

    /** Sum with a number. */
    public Tensor add(double number) {
        return Ops.ADD_SCALAR.tensor(this, number);
    }

    /** Adds in place, broadcast; returns this tensor. */
    public Tensor add_(Tensor other) {
        Ops.ADD_.tensor(this, other).free();
        return this;
    }

    /** Subtracts in place, broadcast; returns this tensor. */
    public Tensor sub_(Tensor other) {
        Ops.SUB_.tensor(this, other).free();
        return this;
    }

    /** Multiplies in place, broadcast; returns this tensor. */
    public Tensor mul_(Tensor other) {
        Ops.MUL_.tensor(this, other).free();
        return this;
    }

    /** Sets all elements to zero in place; returns this tensor. */
    public Tensor zero_() {
        Ops.ZERO_.tensor(this).free();
        return this;
    }

    /** Overwrites the elements with another tensor's, converted; returns this tensor. */
    public Tensor copy_(Tensor source) {
        Ops.COPY_.tensor(this, source).free();
        return this;
    }

    /** Matrix product, batched over leading dimensions. */
    public Tensor matmul(Tensor other) {
        return Ops.MATMUL.tensor(this, other);
    }

    /** {@code this + a·b} for matrices a [n, k] and b [k, m]; this tensor is broadcast to [n, m]. */
    public Tensor addmm(Tensor a, Tensor b) {
        return Ops.ADDMM.tensor(this, a, b);
    }

    /** this + a · b, element by element, each broadcast. */
    public Tensor addcmul(Tensor a, Tensor b) {
        return Ops.ADDCMUL.tensor(this, a, b, 1.0);
    }

    /** max(x, 0). */
    public Tensor relu() {
        return Ops.RELU.tensor(this);
    }

    /** The same in place. */
    public Tensor relu_() {
        Ops.RELU_.tensor(this).free();
        return this;
    }

    /** Elementwise square root. */
    public Tensor sqrt() {
        return Ops.SQRT.tensor(this);
    }

    /** Elementwise e^x. */
    public Tensor exp() {
        return Ops.EXP.tensor(this);
    }

    /** Elementwise max(x, number). */
    public Tensor clampMin(double number) {
        return Ops.CLAMP_MIN.tensor(this, number);
    }

    /** Elementwise x &gt; other, broadcast, as bool. */
    public Tensor gt(Tensor other) {
        return Ops.GT_TENSOR.tensor(this, other);
    }

    /** Elementwise x &gt; number, as bool. */
    public Tensor gt(double number) {
        return Ops.GT.tensor(this, number);
    }

    /** Mean over one dimension. */
    public Tensor mean(int dimension, boolean keepDimension) {
        return Ops.MEAN.tensor(this, new long[] {dimension}, keepDimension);
    }

    /** Mean over all elements, as a scalar. */
    public Tensor mean() {
        return Ops.MEAN_ALL.tensor(this);
    }

    /** Sum over one dimension; integers and bools are summed as int64. */
    public Tensor sum(int dimension, boolean keepDimension) {
        return Ops.SUM.tensor(this, new long[] {dimension}, keepDimension);
    }

    /** Sum over all elements in a given type, as a scalar. */
    public Tensor sum(DType accumulator) {
        return Ops.SUM_ALL.tensor(this, accumulator);
    }

    /** Euclidean norm of all elements, as a scalar. */
    public Tensor norm() {
        return Ops.NORM.tensor(this, 2.0, new long[0], false);
    }

    /**
     * Euclidean norm over one dimension.
     *
     * @param keep whether the dimension stays, with size 1
     */
    public Tensor norm(int dimension, boolean keep) {
        return Ops.NORM.tensor(this, 2.0, new long[] {dimension}, keep);
    }

    /**
     * Standard deviation over one dimension.
     *
     * @param correction what is taken off the number of elements before the division by it: 1 as in PyTorch, or 0
     * @param keep       whether the dimension stays, with size 1
     */
    public Tensor std(int dimension, int correction, boolean keep) {
        return Ops.STD.tensor(this, new long[] {dimension}, correction, keep);
    }

    /** Softmax over one dimension. */
    public Tensor softmax(int dimension) {
        return Ops.SOFTMAX.tensor(this, dimension);
    }

    /** Logarithm of the softmax over one dimension. */
    public Tensor logSoftmax(int dimension) {
        return Ops.LOG_SOFTMAX.tensor(this, dimension);
    }

    /** The elements at these int64 indices along one dimension; the result has the indices' shape. */
    public Tensor gather(int dimension, Tensor indices) {
        return Ops.GATHER.tensor(this, dimension, indices);
    }

    /** A copy with these values written at these int64 indices along one dimension; the reverse of {@link #gather}. */
    public Tensor scatter(int dimension, Tensor indices, Tensor values) {
        return Ops.SCATTER.tensor(this, dimension, indices, values);
    }

    /**
     * Elements in an order, and where they were.
     *
     * @param values  the elements
     * @param indices their places along the dimension, int64
     */
    public record Sorted(Tensor values, Tensor indices) {
        private static Sorted of(Tensor[] results) {
            return new Sorted(results[0], results[1]);
        }
    }

    /** Elements in descending order over the last dimension. Ties keep their order. */
    public Sorted sortDescending() {
        return Sorted.of(Ops.SORT.tensors(2, this, true, -1, true));
    }

    /** The k largest over the last dimension, largest first. */
    public Sorted topk(long k) {
        return Sorted.of(Ops.TOPK.tensors(2, this, k));
    }

    /** A view of the elements from start (inclusive) to end (exclusive) of one dimension. */
    public Tensor slice(int dimension, long start, long end) {
        return Ops.SLICE.tensor(this, dimension, start, end);
    }

    /** A view with one index of one dimension, which disappears. */
    public Tensor select(int dimension, long index) {
        return Ops.SELECT.tensor(this, dimension, index);
    }

    /** The slices at these int64 indices along one dimension, copied. */
    public Tensor indexSelect(int dimension, Tensor indices) {
        return Ops.INDEX_SELECT.tensor(this, dimension, indices);
    }

    /** A copy with the slices at these int64 indices along one dimension set to a number. */
    public Tensor indexFill(int dimension, Tensor indices, double number) {
        return Ops.INDEX_FILL.tensor(this, dimension, indices, number);
    }

    /** The same elements in another shape; copied only where they must be. One size may be -1. */
    public Tensor reshape(long... sizes) {
        return Ops.RESHAPE.tensor(this, sizes);
    }

    /** A view with the matrix's dimensions exchanged. */
    public Tensor t() {
        return Ops.T.tensor(this);
    }

    /** A view with two dimensions exchanged. */
    public Tensor transpose(int first, int second) {
        return Ops.TRANSPOSE.tensor(this, first, second);
    }

    /** A view with a dimension of size 1 put in. */
    public Tensor unsqueeze(int dimension) {
        return Ops.UNSQUEEZE.tensor(this, dimension);
    }

    /**
     * A view of the elements at any strides of this tensor's memory, counted in elements.
     *
     * @throws TorchException if it would reach beyond the memory
     */
    public Tensor asStrided(long[] sizes, long[] strides, long offset) {
        return Ops.AS_STRIDED.tensor(this, sizes, strides, offset);
    }

    /** Tensors joined along one dimension, copied. */
    public static Tensor cat(int dimension, Tensor... parts) {
        return Ops.CAT.tensor(parts, dimension);
    }

    /** Tensors of one shape laid one on the other along a new dimension, copied. */
    public static Tensor stack(int dimension, Tensor... parts) {
        return Ops.STACK.tensor(parts, dimension);
    }

    /** This tensor so many times over along its first dimension, copied. */
    public Tensor repeatRows(int times) {
        if (times < 1) throw new IllegalArgumentException("rows should be repeated at least once, not " + times);
        Tensor[] parts = new Tensor[times];
        Arrays.fill(parts, this);
        return cat(0, parts);
    }

    /** A copy with its own memory. */
    public Tensor copy() {
        return Ops.CLONE.tensor(this);
    }

    /** Row by row without gaps; a copy only if it is not so already. */
    public Tensor contiguous() {
        return Ops.CONTIGUOUS.tensor(this);
    }

    /**
     * Begins to copy this tensor to the host without waiting for its device; close the result. The tensor may be freed
     * meanwhile.
     */
    public Transfer transferToHost() {
        return new Transfer(this);
    }

    /** In another element type; shares memory if it has that type already. */
    public Tensor to(DType target) {
        return Ops.TO_DTYPE.tensor(this, target);
    }

    /**
     * On another device; shares memory if it lies there already. A copy to the CPU waits for the device, one from there
     * does not.
     */
    public Tensor to(Device target) {
        if (!target.isCpu()) target.requireUsable();
        Events.Copy event = target.equals(device()) ? null : Events.copy();
        // A copy out of page-locked memory would read it later, when its owner may have written to it; any other is
        // read before the call returns.
        boolean waits =
                target.isCpu() || !device().isCpu() || (Boolean) Ops.IS_PINNED.call(this)[0];
        Tensor moved = Ops.TO_DEVICE.tensor(this, target, dtype(), !waits);
        if (event != null) event.finish(device(), target, shape().elements() * dtype().bytes());
        return moved;
    }

    /** A tensor of zeros of the same shape, dtype and device. */
    public Tensor zerosLike() {
        return Ops.ZEROS_LIKE.tensor(this);
    }

    /** Whether both have the same shape and equal elements. */
    public boolean sameElements(Tensor other) {
        return (Boolean) Ops.EQUAL.call(this, Objects.requireNonNull(other))[0];
    }

    /** For messages: dtype and shape, where they can be had. */
    String brief() {
        if (freed || !scope.isOpen()) return "Tensor(closed)";
        if (shape == null && !scope.isUsable()) return "Tensor(of another thread)";
        try {
            return dtype() + "" + shape();
        } catch (RuntimeException e) { // a complex one, say, which must not hide what went wrong
            return "Tensor(of another kind)";
        }
    }

    /** Dtype, shape and device, where they can be had; never data. */
    @Override
    public String toString() {
        String brief = brief();
        return shape == null || freed || !scope.isOpen()
                ? brief
                : "Tensor(" + dtype + ", " + shape + ", " + device + ")";
    }
}
