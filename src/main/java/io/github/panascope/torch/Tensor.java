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
 * <pre>{@code
 * try (TensorScope scope = TensorScope.open()) {
 *     Tensor x = Tensor.of(new float[] {1, -2, 3, 4}, Shape.of(2, 2));
 *     Tensor y = x.relu().matmul(x.t());
 *     System.out.println(y);
 *     // tensor([[ 1.,  3.],
 *     //         [-5., 25.]], shape=[2, 2], dtype=float32, device=cpu)
 *     System.out.println(y.get(1, 1)); // 25.0
 * } // frees x, y and the intermediate results
 * }</pre>
 *
 * <p>Methods that return a tensor put it into the innermost open scope of the calling thread, and throw an
 * {@link IllegalStateException} if none is open. A result shares memory with its operand where PyTorch's result does (a
 * view). Two handles are equal only if they are the same object. Shapes are written as PyTorch writes them; a negative
 * dimension counts from the end.
 *
 * <p>Unless a method says otherwise: all operands must lie on one device. Shapes, dtypes or devices that do not fit
 * raise a {@link TorchException}, an index or dimension out of range an {@link IndexOutOfBoundsException}, an operation
 * that libtorch has no kernel for an {@link UnsupportedOperationException}, exhausted memory a
 * {@link TorchOutOfMemoryException}, a closed scope an {@link IllegalStateException}, and the wrong thread a
 * {@link WrongThreadException}.
 */
public final class Tensor {
    private final MemorySegment handle;
    private final TensorScope scope;
    private final int slot;
    private boolean freed;
    /** Whether {@link #segment} has given out the memory. */
    private boolean exposed;

    private DType dtype;
    private Shape shape;
    private Device device;

    /**
     * Makes a handle.
     *
     * @param handle the native tensor, as a segment that the scope's arena bounds
     * @param scope  the scope that owns the handle
     * @param slot   the handle's place among those that the scope frees, or -1 if the scope does not free it
     */
    Tensor(MemorySegment handle, TensorScope scope, int slot) {
        this.handle = handle;
        this.scope = scope;
        this.slot = slot;
    }

    /**
     * Returns the native handle, after a check that it may be used. The check is made here and not left to the linker:
     * the generated bindings turn the linker's exceptions into AssertionErrors.
     */
    MemorySegment handle() {
        if (freed) throw new IllegalStateException("this tensor was freed");
        scope.checkUsable();
        return handle;
    }

    TensorScope scope() {
        return scope;
    }

    // ------------------------------------------------------------------------------------------------ making tensors

    /**
     * Allocates a tensor of uninitialised memory.
     *
     * @param dtype  the element type
     * @param shape  the shape
     * @param device the device that holds the memory
     * @return a row-major tensor, in the innermost scope
     * @throws IllegalArgumentException if the device cannot be used
     */
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

    /**
     * Allocates a tensor of zeros on a device.
     *
     * @param dtype  the element type
     * @param shape  the shape
     * @param device the device that holds the memory
     * @return a row-major tensor, in the innermost scope
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static Tensor zeros(DType dtype, Shape shape, Device device) {
        return empty(dtype, shape, device).zero_();
    }

    /**
     * Allocates a CPU tensor of zeros.
     *
     * @param dtype the element type
     * @param shape the shape
     * @return a row-major CPU tensor, in the innermost scope
     */
    public static Tensor zeros(DType dtype, Shape shape) {
        return empty(dtype, shape, Device.CPU).zero_();
    }

    /**
     * Makes a CPU tensor of ones.
     *
     * @param dtype the element type
     * @param shape the shape
     * @return a row-major CPU tensor, in the innermost scope
     */
    public static Tensor ones(DType dtype, Shape shape) {
        return full(dtype, shape, 1, Device.CPU);
    }

    /**
     * Makes a tensor of ones on a device.
     *
     * @param dtype  the element type
     * @param shape  the shape
     * @param device the device that holds the memory
     * @return a row-major tensor, in the innermost scope
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static Tensor ones(DType dtype, Shape shape, Device device) {
        return full(dtype, shape, 1, device);
    }

    /**
     * Makes a CPU tensor of one number.
     *
     * @param dtype  the element type
     * @param shape  the shape
     * @param number the value of all elements; an integer dtype drops its fraction
     * @return a row-major CPU tensor, in the innermost scope
     */
    public static Tensor full(DType dtype, Shape shape, Number number) {
        return full(dtype, shape, number, Device.CPU);
    }

    /**
     * Makes a tensor of one number.
     *
     * @param dtype  the element type
     * @param shape  the shape
     * @param number the value of all elements; an integer dtype drops its fraction
     * @param device the device that holds the memory
     * @return a row-major tensor, in the innermost scope
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static Tensor full(DType dtype, Shape shape, Number number, Device device) {
        Tensor tensor = empty(dtype, shape, device);
        TensorOps.FILL_.tensor(tensor, number).free();
        return tensor;
    }

    /**
     * Makes an int64 CPU tensor of the numbers 0, 1, 2 and so on.
     *
     * @param end the number after the last one, at least 0
     * @return an int64 CPU tensor [end], in the innermost scope
     * @throws TorchException if the end is negative
     */
    public static Tensor arange(long end) {
        return TensorOps.ARANGE.tensor(end, DType.INT64);
    }

    /**
     * Draws a tensor from the normal distribution of mean 0 and standard deviation 1. {@link Torch#seed} makes the
     * numbers repeatable: they are those of PyTorch with its seed on this kind of device.
     *
     * @param dtype  a floating-point type
     * @param shape  the shape
     * @param device the device that draws and holds the numbers
     * @return a row-major tensor, in the innermost scope
     * @throws UnsupportedOperationException if the dtype is bool or an integer type
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static Tensor randn(DType dtype, Shape shape, Device device) {
        Tensor tensor = empty(dtype, shape, device);
        TensorOps.NORMAL_.tensor(tensor, 0.0, 1.0).free();
        return tensor;
    }

    /**
     * Draws a CPU tensor from the normal distribution, as {@link #randn(DType, Shape, Device)} does.
     *
     * @param dtype a floating-point type
     * @param shape the shape
     * @return a row-major CPU tensor, in the innermost scope
     * @throws UnsupportedOperationException if the dtype is bool or an integer type
     */
    public static Tensor randn(DType dtype, Shape shape) {
        return randn(dtype, shape, Device.CPU);
    }

    /**
     * Copies numbers into a new float32 CPU tensor of one dimension. Whole numbers beyond 2<sup>24</sup> are rounded to
     * float32; {@link #of(long[], Shape)} keeps them.
     *
     * @param values n elements
     * @return a float32 CPU tensor [n], in the innermost scope
     */
    public static Tensor of(float... values) {
        return of(values, Shape.of(values.length));
    }

    /**
     * Copies the rows of a matrix into a new float32 CPU tensor.
     *
     * @param rows n rows of m elements each
     * @return a row-major float32 CPU tensor [n, m], in the innermost scope; [0, 0] without rows
     * @throws IllegalArgumentException if the rows differ in length
     */
    public static Tensor of(float[][] rows) {
        int columns = rows.length == 0 ? 0 : rows[0].length;
        for (int row = 0; row < rows.length; row++)
            if (rows[row].length != columns)
                throw new IllegalArgumentException(
                        "row " + row + " has " + rows[row].length + " elements, and row 0 has " + columns);
        Tensor tensor = empty(DType.FLOAT32, Shape.of(rows.length, columns), Device.CPU);
        MemorySegment memory = tensor.memory();
        for (int row = 0; row < rows.length; row++)
            MemorySegment.copy(
                    rows[row], 0, memory, ValueLayout.JAVA_FLOAT, (long) Float.BYTES * row * columns, columns);
        return tensor;
    }

    /**
     * Copies an array into a new float32 CPU tensor.
     *
     * @param values the elements, row by row
     * @param shape  the shape, of as many elements as the array has
     * @return a row-major float32 CPU tensor, in the innermost scope
     * @throws IllegalArgumentException if the number of values is not that of the shape's elements
     */
    public static Tensor of(float[] values, Shape shape) {
        requireElements(values.length, shape);
        Tensor tensor = empty(DType.FLOAT32, shape, Device.CPU);
        MemorySegment.copy(values, 0, tensor.memory(), ValueLayout.JAVA_FLOAT, 0, values.length);
        return tensor;
    }

    /**
     * Copies an array into a new int64 CPU tensor.
     *
     * @param values the elements, row by row
     * @param shape  the shape, of as many elements as the array has
     * @return a row-major int64 CPU tensor, in the innermost scope
     * @throws IllegalArgumentException if the number of values is not that of the shape's elements
     */
    public static Tensor of(long[] values, Shape shape) {
        requireElements(values.length, shape);
        Tensor tensor = empty(DType.INT64, shape, Device.CPU);
        MemorySegment.copy(values, 0, tensor.memory(), ValueLayout.JAVA_LONG, 0, values.length);
        return tensor;
    }

    /**
     * Copies an array into a new float32 tensor on a device. Does not wait for the device.
     *
     * @param values the elements, row by row
     * @param shape  the shape, of as many elements as the array has
     * @param device the device that holds the result
     * @return a row-major float32 tensor on the device, in the innermost scope
     * @throws IllegalArgumentException if the number of values is not that of the shape's elements, or the device
     *     cannot be used
     */
    public static Tensor of(float[] values, Shape shape, Device device) {
        return device.isCpu() ? of(values, shape) : of(values, shape).to(device);
    }

    /**
     * Copies an array into a new int64 tensor on a device. Does not wait for the device.
     *
     * @param values the elements, row by row
     * @param shape  the shape, of as many elements as the array has
     * @param device the device that holds the result
     * @return a row-major int64 tensor on the device, in the innermost scope
     * @throws IllegalArgumentException if the number of values is not that of the shape's elements, or the device
     *     cannot be used
     */
    public static Tensor of(long[] values, Shape shape, Device device) {
        return device.isCpu() ? of(values, shape) : of(values, shape).to(device);
    }

    /**
     * Copies an array into a new float64 CPU tensor.
     *
     * @param values the elements, row by row
     * @param shape  the shape, of as many elements as the array has
     * @return a row-major float64 CPU tensor, in the innermost scope
     * @throws IllegalArgumentException if the number of values is not that of the shape's elements
     */
    public static Tensor of(double[] values, Shape shape) {
        requireElements(values.length, shape);
        Tensor tensor = empty(DType.FLOAT64, shape, Device.CPU);
        MemorySegment.copy(values, 0, tensor.memory(), ValueLayout.JAVA_DOUBLE, 0, values.length);
        return tensor;
    }

    /**
     * Copies token ids into a new int64 CPU tensor of one row.
     *
     * @param tokens n token ids
     * @return an int64 CPU tensor [1, n], in the innermost scope
     */
    public static Tensor ofTokens(int... tokens) {
        return of(Arrays.stream(tokens).asLongStream().toArray(), Shape.of(1, tokens.length));
    }

    /**
     * Makes a row-major CPU tensor over foreign memory, without a copy. The caller keeps the memory, and must keep it
     * alive until every tensor that shares it (this one, its views, their aliases) is freed: its arena has to outlive
     * the scope.
     *
     * @param memory native and writable, of exactly the bytes that the shape needs, aligned to the element size
     * @param dtype  the element type
     * @param shape  the shape
     * @return a tensor that shares the memory, in the innermost scope
     * @throws IllegalArgumentException if the memory is on the heap, read-only, unaligned, of another size, of a closed
     *     arena, or of the arena of another thread
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
     * Imports a tensor of another native library of this process, without a copy.
     *
     * @param managed a DLPack {@code DLManagedTensor*} (unversioned). Success transfers its ownership: its deleter is
     *     called when the last tensor that shares the memory is freed
     * @return a tensor that shares the memory, in the innermost scope
     * @throws TorchException if its dtype or device is not known here
     * @throws IllegalArgumentException if the pointer is null, not native, or of a closed arena
     * @throws WrongThreadException if the pointer belongs to the arena of another thread
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

    /**
     * Imports a tensor that {@link #toDlpack} has exported, without a copy. Gives the exported tensor away, and frees
     * it if the import fails.
     *
     * @param tensor the exported tensor; closed or given away afterwards
     * @return a tensor that shares the memory, in the innermost scope
     * @throws IllegalStateException if it was given away or closed before
     * @throws TorchException if its dtype or device is not known here
     */
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
     * Imports a column of another native library of this process, without a copy: of numbers [rows], or of fixed-size
     * lists of numbers [rows, n].
     *
     * @param schema an Arrow {@code struct ArrowSchema}; released if this succeeds
     * @param array  the column's {@code struct ArrowArray}; moved out of this memory if this succeeds, and released
     *     when the last tensor that shares the column's memory is freed
     * @return a CPU tensor [rows] or [rows, n] that shares the memory, in the innermost scope
     * @throws TorchException if the column has missing values, or does not hold numbers
     * @throws IllegalArgumentException if a pointer is null, not native, or of a closed arena
     * @throws WrongThreadException if a pointer belongs to the arena of another thread
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

    /** {@return the element type} */
    public DType dtype() {
        readInfo();
        return dtype;
    }

    /** {@return the sizes of the dimensions, outermost first} */
    public Shape shape() {
        readInfo();
        return shape;
    }

    /** {@return the device that holds the memory} */
    public Device device() {
        readInfo();
        return device;
    }

    /**
     * Returns the size of one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @return the number of elements along it
     * @throws IndexOutOfBoundsException if there is no such dimension
     */
    public long size(int dimension) {
        return shape().size(dimension);
    }

    /** {@return whether the elements lie row by row without gaps} */
    public boolean isContiguous() {
        try (Scratch scratch = Scratch.open()) {
            return psc_tensor_info.contiguous(info(scratch)) != 0;
        }
    }

    private void readInfo() {
        if (shape != null) return; // dtype, shape and device of a libtorch tensor handle never change here
        try (Scratch scratch = Scratch.open()) {
            MemorySegment info = info(scratch);
            long[] sizes = new long[psc_tensor_info.rank(info)];
            // Not psc_tensor_info.sizes(info, i): jextract's accessor of one array element ignores the field's offset.
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
     * Returns the tensor's own memory, without a copy: writing to it writes to the tensor.
     *
     * @return the memory; alive as long as the tensor's scope, whose closing alone then frees it ({@link #free} no
     *     longer does)
     * @throws IllegalStateException if the tensor is not on the CPU, not contiguous, or has no plain memory (sparse,
     *     quantized, negated or conjugated)
     */
    public MemorySegment segment() {
        MemorySegment memory = memory();
        exposed = true;
        return memory;
    }

    /**
     * Exports this tensor to another native library, without a copy.
     *
     * @return the exported tensor; the caller closes it or gives it away
     * @throws TorchException if the memory is only borrowed ({@link #wrap}), since nothing could keep it alive
     */
    public Dlpack toDlpack() {
        return new Dlpack(this);
    }

    /**
     * Exports this tensor as an Arrow column, without a copy. Needs a contiguous CPU tensor of rank 1 or 2, of a dtype
     * other than bool and bfloat16.
     *
     * @param name the column's name
     * @return the column; the caller closes it once it is imported
     * @throws TorchException if the tensor cannot be a column, or its memory is only borrowed ({@link #wrap})
     */
    public ArrowColumn toArrow(String name) {
        return new ArrowColumn(this, name);
    }

    /**
     * Returns the tensor's own memory for code that does not keep it beyond its own return: unlike after
     * {@link #segment}, {@link #free} still frees it.
     *
     * @throws IllegalStateException if the tensor is not on the CPU, not contiguous, or has no plain memory
     */
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

    /**
     * Copies the elements as floats, row by row, from any dtype and device.
     *
     * @return a new array of all elements
     */
    public float[] toFloats() {
        return Elements.floats(this);
    }

    /**
     * Copies the elements as floats, row by row, into an existing array, so that reading many tensors needs only one
     * array.
     *
     * @param into the array, filled from its beginning
     * @return the number of elements copied
     * @throws IllegalArgumentException if the array is too short
     */
    public int toFloats(float[] into) {
        return Elements.floats(this, into);
    }

    /**
     * Copies the elements as longs, row by row. Floating-point elements lose their fraction.
     *
     * @return a new array of all elements
     * @throws ArithmeticException if an element is NaN, or outside the range of a long
     */
    public long[] toLongs() {
        return Elements.longs(this);
    }

    /**
     * Copies the elements as ints, row by row. Floating-point elements lose their fraction.
     *
     * @return a new array of all elements
     * @throws ArithmeticException if an element is NaN, or outside the range of an int
     */
    public int[] toInts() {
        return Elements.ints(this);
    }

    /**
     * Copies the elements as doubles, row by row, from any dtype and device.
     *
     * @return a new array of all elements
     */
    public double[] toDoubles() {
        return Elements.doubles(this);
    }

    /**
     * Returns the only element.
     *
     * @return the element as a double
     * @throws IllegalStateException if the tensor does not have exactly one element
     * @throws ArithmeticException if the element is an integer that a double cannot represent exactly
     */
    public double item() {
        requireOneElement("item()");
        double item = toDoubles()[0];
        if (dtype() == DType.INT64 && Math.abs(item) >= 1L << 53) {
            long exact = toLongs()[0];
            // 2^63 is no long: its conversion gives the largest one.
            if ((long) item != exact || item == 0x1p63)
                throw new ArithmeticException("the element " + exact + " is no double: use itemLong() or toLongs()");
        }
        return item;
    }

    /**
     * Returns the only element. A floating-point element loses its fraction.
     *
     * @return the element as a long
     * @throws IllegalStateException if the tensor does not have exactly one element
     * @throws ArithmeticException if the element is NaN, or outside the range of a long
     */
    public long itemLong() {
        requireOneElement("itemLong()");
        return dtype().isFloatingPoint()
                ? Elements.toLong("itemLong(): the element", toDoubles()[0], "item()")
                : toLongs()[0];
    }

    /**
     * Returns whether the only element is not zero.
     *
     * @return true for a bool that is true, and for any other number than 0, NaN included
     * @throws IllegalStateException if the tensor does not have exactly one element
     */
    public boolean itemBoolean() {
        requireOneElement("itemBoolean()");
        return toDoubles()[0] != 0;
    }

    private void requireOneElement(String method) {
        if (shape().elements() != 1)
            throw new IllegalStateException(method + " needs one element; this tensor has shape " + shape);
    }

    /**
     * Returns one element, as {@link #item} does. For a view of a row, use {@link #select}.
     *
     * @param indices an index for each dimension; a negative one counts from the end
     * @return the element as a double
     * @throws IllegalArgumentException if there are not as many indices as dimensions
     * @throws IndexOutOfBoundsException if an index is out of range
     * @throws ArithmeticException if the element is an integer that a double cannot represent exactly
     */
    public double get(long... indices) {
        if (indices.length != shape().rank())
            throw new IllegalArgumentException("an element of a tensor of shape " + shape + " has " + shape.rank()
                    + " indices, not " + indices.length + ": select(0, i) returns a view of a row");
        for (int dimension = 0; dimension < indices.length; dimension++) {
            long size = shape.size(dimension);
            if (indices[dimension] < -size || indices[dimension] >= size)
                throw new IndexOutOfBoundsException("index " + indices[dimension] + " is out of range for dimension "
                        + dimension + " of a tensor of shape " + shape);
        }
        try (var _ = TensorScope.open()) {
            Tensor element = this;
            for (long index : indices) element = element.select(0, index);
            return element.item();
        }
    }

    /**
     * Writes the elements to a channel, row by row in the machine's byte order. Copies them to the CPU first if they
     * lie on another device.
     *
     * @param out the channel; stays open
     * @throws IOException if writing fails
     */
    public void writeTo(WritableByteChannel out) throws IOException {
        Elements.write(this, out);
    }

    /**
     * Fills a contiguous CPU tensor with bytes from a channel, in the layout that they have in memory.
     *
     * @param in the channel, read up to the tensor's size; stays open
     * @throws java.io.EOFException if the channel ends before the tensor is full
     * @throws IOException if reading fails
     * @throws IllegalStateException if the tensor is not on the CPU or not contiguous
     */
    public void readFrom(ReadableByteChannel in) throws IOException {
        Elements.read(in, this);
    }

    /**
     * Selects between this tensor and another one, element by element. All three are broadcast.
     *
     * @param condition bool; true selects the element of this tensor
     * @param other     the tensor to take elements from where the condition is false
     * @return a new tensor of the broadcast shape, in the innermost scope
     */
    public Tensor where(Tensor condition, Tensor other) {
        return TensorOps.WHERE.tensor(condition, this, other);
    }

    /**
     * Finds the largest element over one dimension.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return the indices along the dimension, int64, in the innermost scope; of equal elements the first
     */
    public Tensor argmax(int dimension) {
        return TensorOps.ARGMAX.tensor(this, dimension, false);
    }

    /**
     * Finds the largest of all elements.
     *
     * @return its index among the elements counted row by row, an int64 scalar tensor, in the innermost scope; of equal
     *     elements the first
     * @throws IndexOutOfBoundsException if there are no elements
     */
    public Tensor argmax() {
        return TensorOps.ARGMAX.tensor(this);
    }

    /**
     * Computes |x| for every element.
     *
     * @return a new tensor, in the innermost scope
     */
    public Tensor abs() {
        return TensorOps.ABS.tensor(this);
    }

    /**
     * Returns a tensor over the same memory through which no gradients flow.
     *
     * @return a tensor that shares this one's memory, in the innermost scope
     */
    public Tensor detach() {
        return TensorOps.DETACH.tensor(this);
    }

    /**
     * Makes another handle to this tensor.
     *
     * @return a handle to the same tensor, in the innermost scope
     */
    public Tensor alias() {
        return TensorScope.current().adopt(this);
    }

    /**
     * Makes another handle to this tensor in the scope outside the innermost one, so that a method can return a result
     * from the scope it has opened.
     *
     * @return a handle to the same tensor, in the next outer scope
     * @throws IllegalStateException if no scope is open outside the innermost one
     */
    public Tensor promote() {
        return TensorScope.current().outer().adopt(this);
    }

    /**
     * Frees this handle before its scope closes, for tensors that are large and no longer needed. Freeing a handle
     * twice does nothing. If {@link #segment} gave out the memory, it stays alive until the scope closes. In the scope
     * of {@link TensorScope#collected}, where the garbage collector frees tensors, this method has no effect.
     *
     * @throws IllegalStateException if the handle belongs to a shared scope
     */
    public void free() {
        if (freed || slot < 0) return;
        if (exposed) scope.checkUsable(); // a segment() that was given out may still be read
        else scope.free(handle, slot);
        freed = true;
    }

    // ------------------------------------------------------------------------------------------------- operators

    /**
     * Computes {@code this + other} element by element, broadcast.
     *
     * @param other the other summand
     * @return a new tensor of the broadcast shape, in the innermost scope
     */
    public Tensor add(Tensor other) {
        return TensorOps.ADD.tensor(this, other);
    }

    /**
     * Computes {@code this - other} element by element, broadcast.
     *
     * @param other the subtrahend
     * @return a new tensor of the broadcast shape, in the innermost scope
     */
    public Tensor sub(Tensor other) {
        return TensorOps.SUB.tensor(this, other);
    }

    /**
     * Returns a whole number as a floating-point one where the tensor's elements are such: the result is the same, and
     * libtorch converts a whole number by copies.
     */
    private Number scalar(Number number) {
        boolean isWhole = !(number instanceof Double || number instanceof Float);
        boolean isExact = isWhole && (long) number.doubleValue() == number.longValue();
        return isExact && dtype().isFloatingPoint() ? (Number) number.doubleValue() : number;
    }

    /**
     * Subtracts a number from every element.
     *
     * @param number the subtrahend, an integer or a floating-point number
     * @return a new tensor, in the innermost scope
     * @throws TorchException if this tensor is bool
     */
    public Tensor sub(Number number) {
        return TensorOps.SUB_SCALAR.tensor(this, scalar(number));
    }

    /**
     * Computes {@code this * other} element by element, broadcast.
     *
     * @param other the other factor
     * @return a new tensor of the broadcast shape, in the innermost scope
     */
    public Tensor mul(Tensor other) {
        return TensorOps.MUL.tensor(this, other);
    }

    /**
     * Multiplies every element by a number.
     *
     * @param factor the number, an integer or a floating-point number
     * @return a new tensor, in the innermost scope
     */
    public Tensor mul(Number factor) {
        return TensorOps.MUL_SCALAR.tensor(this, scalar(factor));
    }

    /**
     * Computes {@code this / other} element by element, broadcast.
     *
     * @param other the divisor
     * @return a new tensor of the broadcast shape, in the innermost scope
     */
    public Tensor div(Tensor other) {
        return TensorOps.DIV.tensor(this, other);
    }

    /**
     * Divides every element by a number. Integers and bools are divided as float32.
     *
     * @param divisor the number, an integer or a floating-point number
     * @return a new tensor, in the innermost scope
     */
    public Tensor div(Number divisor) {
        return TensorOps.DIV_SCALAR.tensor(this, scalar(divisor));
    }

    /**
     * Computes {@code -x} for every element.
     *
     * @return a new tensor, in the innermost scope
     * @throws TorchException if this tensor is bool, for which {@link #logicalNot} is the operator
     */
    public Tensor neg() {
        return TensorOps.NEG.tensor(this);
    }

    /**
     * Raises every element to a power. Integers stay such where the exponent is an integer, and give float32 where it
     * is a floating-point number.
     *
     * @param exponent the exponent, an integer or a floating-point number
     * @return a new tensor, in the innermost scope
     * @throws TorchException if this tensor has an integer dtype and the exponent is a negative integer
     */
    public Tensor pow(Number exponent) {
        return TensorOps.POW.tensor(this, exponent);
    }

    /**
     * Adds a number to every element.
     *
     * @param number the number, an integer or a floating-point number
     * @return a new tensor, in the innermost scope
     */
    public Tensor add(Number number) {
        return TensorOps.ADD_SCALAR.tensor(this, scalar(number));
    }

    /**
     * Adds another tensor to this one, in place.
     *
     * @param other the summand, broadcast to this tensor's shape
     * @return this tensor
     */
    public Tensor add_(Tensor other) {
        TensorOps.ADD_.tensor(this, other).free();
        return this;
    }

    /**
     * Subtracts another tensor from this one, in place.
     *
     * @param other the subtrahend, broadcast to this tensor's shape
     * @return this tensor
     */
    public Tensor sub_(Tensor other) {
        TensorOps.SUB_.tensor(this, other).free();
        return this;
    }

    /**
     * Multiplies this tensor by another one, element by element and in place.
     *
     * @param other the factor, broadcast to this tensor's shape
     * @return this tensor
     */
    public Tensor mul_(Tensor other) {
        TensorOps.MUL_.tensor(this, other).free();
        return this;
    }

    /**
     * Sets all elements to zero, in place.
     *
     * @return this tensor
     */
    public Tensor zero_() {
        TensorOps.ZERO_.tensor(this).free();
        return this;
    }

    /**
     * Overwrites the elements with those of another tensor, converted to this tensor's dtype.
     *
     * @param source the tensor to copy from
     * @return this tensor
     */
    public Tensor copy_(Tensor source) {
        TensorOps.COPY_.tensor(this, source).free();
        return this;
    }

    /**
     * Computes the matrix product, batched over leading dimensions.
     *
     * @param other the right factor
     * @return a new tensor, in the innermost scope
     */
    public Tensor matmul(Tensor other) {
        return TensorOps.MATMUL.tensor(this, other);
    }

    /**
     * Sums products of tensors as an equation in Einstein's notation says, such as {@code bd,fd->bf} for the products
     * of rows of two matrices.
     *
     * @param equation a letter for each dimension of each operand, {@code ->}, and the letters of the result
     * @param operands the tensors
     * @return a new tensor, in the innermost scope
     * @throws TorchException if the equation does not fit the operands
     */
    public static Tensor einsum(String equation, Tensor... operands) {
        return TensorOps.EINSUM.tensor(equation, operands);
    }

    /**
     * Computes {@code this + a·b}, a matrix product and a sum in one operator. This tensor is broadcast to [n, m].
     *
     * @param a a matrix [n, k]
     * @param b a matrix [k, m]
     * @return a new tensor [n, m], in the innermost scope
     */
    public Tensor addmm(Tensor a, Tensor b) {
        return TensorOps.ADDMM.tensor(this, a, b);
    }

    /**
     * Computes {@code this + a * b} element by element; all three are broadcast.
     *
     * @param a a factor
     * @param b the other factor
     * @return a new tensor of the broadcast shape, in the innermost scope
     */
    public Tensor addcmul(Tensor a, Tensor b) {
        return TensorOps.ADDCMUL.tensor(this, a, b, 1.0);
    }

    /**
     * Computes max(x, 0) for every element.
     *
     * @return a new tensor, in the innermost scope
     */
    public Tensor relu() {
        return TensorOps.RELU.tensor(this);
    }

    /**
     * Replaces every element by max(x, 0), in place.
     *
     * @return this tensor
     */
    public Tensor relu_() {
        TensorOps.RELU_.tensor(this).free();
        return this;
    }

    /**
     * Computes the square root of every element.
     *
     * @return a new tensor, in the innermost scope
     */
    public Tensor sqrt() {
        return TensorOps.SQRT.tensor(this);
    }

    /**
     * Computes e<sup>x</sup> for every element.
     *
     * @return a new tensor, in the innermost scope
     */
    public Tensor exp() {
        return TensorOps.EXP.tensor(this);
    }

    /**
     * Computes the natural logarithm of every element: negative infinity at 0, NaN below. Integers and bools give
     * float32.
     *
     * @return a new tensor, in the innermost scope
     */
    public Tensor log() {
        return TensorOps.LOG.tensor(this);
    }

    /**
     * Computes max(x, number) for every element.
     *
     * @param number the lower bound
     * @return a new tensor, in the innermost scope
     */
    public Tensor clampMin(Number number) {
        return TensorOps.CLAMP_MIN.tensor(this, scalar(number));
    }

    /**
     * Computes min(max(x, least), most) for every element.
     *
     * @param least the lower bound
     * @param most  the upper bound; it is the result where the bounds cross
     * @return a new tensor, in the innermost scope
     */
    public Tensor clamp(Number least, Number most) {
        return TensorOps.CLAMP.tensor(this, scalar(least), scalar(most));
    }

    /**
     * Computes {@code this == other} element by element, broadcast. NaN equals nothing.
     *
     * @param other the tensor to compare with
     * @return a bool tensor of the broadcast shape, true where the elements are equal, in the innermost scope
     */
    public Tensor eq(Tensor other) {
        return TensorOps.EQ_TENSOR.tensor(this, other);
    }

    /**
     * Computes {@code this == number} for every element.
     *
     * @param number the number to compare with, an integer or a floating-point number
     * @return a bool tensor of the same shape, true where the element equals the number, in the innermost scope
     */
    public Tensor eq(Number number) {
        return TensorOps.EQ.tensor(this, scalar(number));
    }

    /**
     * Computes {@code this != other} element by element, broadcast.
     *
     * @param other the tensor to compare with
     * @return a bool tensor of the broadcast shape, true where the elements differ, in the innermost scope
     */
    public Tensor ne(Tensor other) {
        return TensorOps.NE_TENSOR.tensor(this, other);
    }

    /**
     * Computes {@code this != number} for every element.
     *
     * @param number the number to compare with, an integer or a floating-point number
     * @return a bool tensor of the same shape, true where the element differs from the number, in the innermost scope
     */
    public Tensor ne(Number number) {
        return TensorOps.NE.tensor(this, scalar(number));
    }

    /**
     * Computes {@code this > other} element by element, broadcast.
     *
     * @param other the tensor to compare with
     * @return a bool tensor of the broadcast shape, true where this tensor's element is larger, in the innermost scope
     */
    public Tensor gt(Tensor other) {
        return TensorOps.GT_TENSOR.tensor(this, other);
    }

    /**
     * Computes {@code this > number} for every element.
     *
     * @param number the number to compare with, an integer or a floating-point number
     * @return a bool tensor of the same shape, true where the element is larger than the number, in the innermost scope
     */
    public Tensor gt(Number number) {
        return TensorOps.GT.tensor(this, scalar(number));
    }

    /**
     * Computes {@code this >= other} element by element, broadcast.
     *
     * @param other the tensor to compare with
     * @return a bool tensor of the broadcast shape, true where this tensor's element is larger or equal, in the
     *     innermost scope
     */
    public Tensor ge(Tensor other) {
        return TensorOps.GE_TENSOR.tensor(this, other);
    }

    /**
     * Computes {@code this >= number} for every element.
     *
     * @param number the number to compare with, an integer or a floating-point number
     * @return a bool tensor of the same shape, true where the element is at least the number, in the innermost scope
     */
    public Tensor ge(Number number) {
        return TensorOps.GE.tensor(this, scalar(number));
    }

    /**
     * Computes {@code this < other} element by element, broadcast.
     *
     * @param other the tensor to compare with
     * @return a bool tensor of the broadcast shape, true where this tensor's element is smaller, in the innermost scope
     */
    public Tensor lt(Tensor other) {
        return TensorOps.LT_TENSOR.tensor(this, other);
    }

    /**
     * Computes {@code this < number} for every element.
     *
     * @param number the number to compare with, an integer or a floating-point number
     * @return a bool tensor of the same shape, true where the element is smaller than the number, in the innermost
     *     scope
     */
    public Tensor lt(Number number) {
        return TensorOps.LT.tensor(this, scalar(number));
    }

    /**
     * Computes {@code this <= other} element by element, broadcast.
     *
     * @param other the tensor to compare with
     * @return a bool tensor of the broadcast shape, true where this tensor's element is smaller or equal, in the
     *     innermost scope
     */
    public Tensor le(Tensor other) {
        return TensorOps.LE_TENSOR.tensor(this, other);
    }

    /**
     * Computes {@code this <= number} for every element.
     *
     * @param number the number to compare with, an integer or a floating-point number
     * @return a bool tensor of the same shape, true where the element is at most the number, in the innermost scope
     */
    public Tensor le(Number number) {
        return TensorOps.LE.tensor(this, scalar(number));
    }

    /**
     * Finds the elements that are zero: of a bool tensor, those that are false.
     *
     * @return a bool tensor of the same shape, true where the element is zero, in the innermost scope
     */
    public Tensor logicalNot() {
        return TensorOps.LOGICAL_NOT.tensor(this);
    }

    /**
     * Finds the elements that are not a number.
     *
     * @return a bool tensor of the same shape, true where the element is NaN, in the innermost scope
     */
    public Tensor isnan() {
        return TensorOps.ISNAN.tensor(this);
    }

    /**
     * Returns whether any element is not zero, as in {@code x.gt(0).any().itemBoolean()}.
     *
     * @return a bool scalar tensor, in the innermost scope; false without elements
     */
    public Tensor any() {
        return TensorOps.ANY.tensor(this);
    }

    /**
     * Returns whether any element along one dimension is not zero.
     *
     * @param dimension     the dimension; a negative one counts from the end
     * @param keepDimension true keeps the dimension, with size 1; false removes it
     * @return a new bool tensor, in the innermost scope
     */
    public Tensor any(int dimension, boolean keepDimension) {
        return TensorOps.ANY_DIM.tensor(this, dimension, keepDimension);
    }

    /**
     * Returns whether any element along one dimension is not zero.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return a new bool tensor, in the innermost scope
     */
    public Tensor any(int dimension) {
        return any(dimension, false);
    }

    /**
     * Returns whether all elements are not zero.
     *
     * @return a bool scalar tensor, in the innermost scope; true without elements
     */
    public Tensor all() {
        return TensorOps.ALL.tensor(this);
    }

    /**
     * Returns whether all elements along one dimension are not zero.
     *
     * @param dimension     the dimension; a negative one counts from the end
     * @param keepDimension true keeps the dimension, with size 1; false removes it
     * @return a new bool tensor, in the innermost scope
     */
    public Tensor all(int dimension, boolean keepDimension) {
        return TensorOps.ALL_DIM.tensor(this, dimension, keepDimension);
    }

    /**
     * Returns whether all elements along one dimension are not zero.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return a new bool tensor, in the innermost scope
     */
    public Tensor all(int dimension) {
        return all(dimension, false);
    }

    /**
     * Finds the elements that are not zero, in row-major order. Waits for the device.
     *
     * @return the indices of n elements, int64 [n, rank], in the innermost scope
     */
    public Tensor nonzero() {
        return TensorOps.NONZERO.tensor(this);
    }

    /**
     * Computes the mean over one dimension.
     *
     * @param dimension     the dimension; a negative one counts from the end
     * @param keepDimension true keeps the dimension, with size 1; false removes it
     * @return a new tensor, in the innermost scope
     */
    public Tensor mean(int dimension, boolean keepDimension) {
        return TensorOps.MEAN.tensor(this, new long[] {dimension}, keepDimension);
    }

    /**
     * Computes the mean over one dimension.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return a new tensor, in the innermost scope
     */
    public Tensor mean(int dimension) {
        return mean(dimension, false);
    }

    /**
     * Computes the mean over all elements.
     *
     * @return a scalar tensor, in the innermost scope
     */
    public Tensor mean() {
        return TensorOps.MEAN_ALL.tensor(this);
    }

    /**
     * Computes the sum over one dimension. Integers and bools are summed as int64.
     *
     * @param dimension     the dimension; a negative one counts from the end
     * @param keepDimension true keeps the dimension, with size 1; false removes it
     * @return a new tensor, in the innermost scope
     */
    public Tensor sum(int dimension, boolean keepDimension) {
        return TensorOps.SUM.tensor(this, new long[] {dimension}, keepDimension);
    }

    /**
     * Computes the sum over one dimension. Integers and bools are summed as int64.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return a new tensor, in the innermost scope
     */
    public Tensor sum(int dimension) {
        return sum(dimension, false);
    }

    /**
     * Computes the sum over all elements. Integers and bools are summed as int64.
     *
     * @return a scalar tensor, in the innermost scope
     */
    public Tensor sum() {
        return TensorOps.SUM_ALL.tensor(this);
    }

    /**
     * Computes the sum over all elements in a given dtype.
     *
     * @param accumulator the dtype of the sum
     * @return a scalar tensor of that dtype, in the innermost scope
     */
    public Tensor sum(DType accumulator) {
        return TensorOps.SUM_ALL.tensor(this, accumulator);
    }

    /**
     * Computes the Euclidean norm of all elements.
     *
     * @return a scalar tensor, in the innermost scope
     */
    public Tensor norm() {
        return TensorOps.NORM.tensor(this, 2.0, new long[0], false);
    }

    /**
     * Computes the Euclidean norm over one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param keep      true keeps the dimension, with size 1; false removes it
     * @return a new tensor, in the innermost scope
     */
    public Tensor norm(int dimension, boolean keep) {
        return TensorOps.NORM.tensor(this, 2.0, new long[] {dimension}, keep);
    }

    /**
     * Computes the standard deviation over one dimension.
     *
     * @param dimension  the dimension; a negative one counts from the end
     * @param correction what is subtracted from the number of elements to make the divisor: 1 as in PyTorch, or 0
     * @param keep       true keeps the dimension, with size 1; false removes it
     * @return a new tensor, in the innermost scope
     */
    public Tensor std(int dimension, int correction, boolean keep) {
        return TensorOps.STD.tensor(this, new long[] {dimension}, correction, keep);
    }

    /**
     * Computes the softmax over one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @return a new tensor of the same shape, in the innermost scope
     */
    public Tensor softmax(int dimension) {
        return TensorOps.SOFTMAX.tensor(this, dimension);
    }

    /**
     * Computes the logarithm of the softmax over one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @return a new tensor of the same shape, in the innermost scope
     */
    public Tensor logSoftmax(int dimension) {
        return TensorOps.LOG_SOFTMAX.tensor(this, dimension);
    }

    /**
     * Reads the elements at given indices along one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param indices   indices along that dimension, int64
     * @return a new tensor of the indices' shape, in the innermost scope
     */
    public Tensor gather(int dimension, Tensor indices) {
        return TensorOps.GATHER.tensor(this, dimension, indices);
    }

    /**
     * Writes values at given indices along one dimension of a copy; the reverse of {@link #gather}.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param indices   indices along that dimension, int64
     * @param values    the values to write
     * @return a changed copy of this tensor, in the innermost scope
     */
    public Tensor scatter(int dimension, Tensor indices, Tensor values) {
        return TensorOps.SCATTER.tensor(this, dimension, indices, values);
    }

    /**
     * Finds the largest element.
     *
     * @return a scalar tensor, in the innermost scope; NaN if an element is NaN
     * @throws TorchException if there are no elements
     */
    public Tensor max() {
        return TensorOps.MAX.tensor(this);
    }

    /**
     * Finds the smallest element.
     *
     * @return a scalar tensor, in the innermost scope; NaN if an element is NaN
     * @throws TorchException if there are no elements
     */
    public Tensor min() {
        return TensorOps.MIN.tensor(this);
    }

    /**
     * The largest or smallest elements along a dimension.
     *
     * @param values  the elements; NaN where an element is NaN
     * @param indices their indices along the dimension, int64, of the same shape; on the CPU the first of equal
     *     elements
     */
    public record Extremes(Tensor values, Tensor indices) {
        private static Extremes of(Tensor[] results) {
            return new Extremes(results[0], results[1]);
        }
    }

    /**
     * Finds the largest elements along one dimension.
     *
     * @param dimension     the dimension; a negative one counts from the end
     * @param keepDimension true keeps the dimension, with size 1; false removes it
     * @return the elements and their indices, in the innermost scope
     */
    public Extremes max(int dimension, boolean keepDimension) {
        return Extremes.of(TensorOps.MAX_DIM.tensors(2, this, dimension, keepDimension));
    }

    /**
     * Finds the largest elements along one dimension.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return the elements and their indices, in the innermost scope
     */
    public Extremes max(int dimension) {
        return max(dimension, false);
    }

    /**
     * Finds the smallest elements along one dimension.
     *
     * @param dimension     the dimension; a negative one counts from the end
     * @param keepDimension true keeps the dimension, with size 1; false removes it
     * @return the elements and their indices, in the innermost scope
     */
    public Extremes min(int dimension, boolean keepDimension) {
        return Extremes.of(TensorOps.MIN_DIM.tensors(2, this, dimension, keepDimension));
    }

    /**
     * Finds the smallest elements along one dimension.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @return the elements and their indices, in the innermost scope
     */
    public Extremes min(int dimension) {
        return min(dimension, false);
    }

    /**
     * Computes the larger of two elements, element by element, broadcast.
     *
     * @param other the other tensor
     * @return a new tensor of the broadcast shape, in the innermost scope; NaN where either element is NaN
     */
    public Tensor maximum(Tensor other) {
        return TensorOps.MAXIMUM.tensor(this, other);
    }

    /**
     * Computes the smaller of two elements, element by element, broadcast.
     *
     * @param other the other tensor
     * @return a new tensor of the broadcast shape, in the innermost scope; NaN where either element is NaN
     */
    public Tensor minimum(Tensor other) {
        return TensorOps.MINIMUM.tensor(this, other);
    }

    /**
     * Sorted elements and the places they had before.
     *
     * @param values  the elements in their new order
     * @param indices their indices along the dimension before, int64, of the same shape
     */
    public record Sorted(Tensor values, Tensor indices) {
        private static Sorted of(Tensor[] results) {
            return new Sorted(results[0], results[1]);
        }
    }

    /**
     * Sorts the elements over the last dimension in descending order. Equal elements keep their order.
     *
     * @return the sorted elements and their former indices, of this tensor's shape, in the innermost scope
     */
    public Sorted sortDescending() {
        return Sorted.of(TensorOps.SORT.tensors(2, this, true, -1, true));
    }

    /**
     * Finds the k largest elements over the last dimension.
     *
     * @param k how many elements
     * @return the elements, largest first, and their indices; the last dimension has size k; in the innermost scope
     */
    public Sorted topk(long k) {
        return Sorted.of(TensorOps.TOPK.tensors(2, this, k));
    }

    /**
     * Returns a view of a range of one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param start     the first index
     * @param end       the index after the last one
     * @return a view, in the innermost scope
     */
    public Tensor slice(int dimension, long start, long end) {
        return TensorOps.SLICE.tensor(this, dimension, start, end);
    }

    /**
     * Returns a view of one index of a dimension.
     *
     * @param dimension the dimension, which disappears; a negative one counts from the end
     * @param index     the index along it
     * @return a view, in the innermost scope
     */
    public Tensor select(int dimension, long index) {
        return TensorOps.SELECT.tensor(this, dimension, index);
    }

    /**
     * Copies the slices at given indices along one dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param indices   indices along that dimension, int64 [n]
     * @return a new tensor of size n along the dimension, in the innermost scope
     */
    public Tensor indexSelect(int dimension, Tensor indices) {
        return TensorOps.INDEX_SELECT.tensor(this, dimension, indices);
    }

    /**
     * Sets the slices at given indices along one dimension of a copy to a number.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param indices   indices along that dimension, int64 [n]
     * @param number    the number to write
     * @return a changed copy of this tensor, in the innermost scope
     */
    public Tensor indexFill(int dimension, Tensor indices, double number) {
        return TensorOps.INDEX_FILL.tensor(this, dimension, indices, number);
    }

    /**
     * Returns the elements in another shape.
     *
     * @param sizes the new sizes; one of them may be -1 and is computed from the others
     * @return a view where possible, else a copy, in the innermost scope
     */
    public Tensor reshape(long... sizes) {
        return TensorOps.RESHAPE.tensor(this, sizes);
    }

    /**
     * Returns a view of the transposed matrix.
     *
     * @return a view, in the innermost scope
     */
    public Tensor t() {
        return TensorOps.T.tensor(this);
    }

    /**
     * Returns a view with two dimensions exchanged.
     *
     * @param first  a dimension; a negative one counts from the end
     * @param second the other dimension; a negative one counts from the end
     * @return a view, in the innermost scope
     */
    public Tensor transpose(int first, int second) {
        return TensorOps.TRANSPOSE.tensor(this, first, second);
    }

    /**
     * Returns a view with the dimensions in another order.
     *
     * @param dimensions all dimensions, in their new order; negative ones count from the end
     * @return a view, in the innermost scope
     */
    public Tensor permute(int... dimensions) {
        return TensorOps.PERMUTE.tensor(
                this, Arrays.stream(dimensions).asLongStream().toArray());
    }

    /**
     * Joins consecutive dimensions into one.
     *
     * @param first the first of them; a negative one counts from the end
     * @param last  the last of them, inclusive; a negative one counts from the end
     * @return a view where possible, else a copy, in the innermost scope
     */
    public Tensor flatten(int first, int last) {
        return TensorOps.FLATTEN.tensor(this, first, last);
    }

    /**
     * Returns a view without a dimension of size 1.
     *
     * @param dimension the dimension, which stays if it has another size; a negative one counts from the end
     * @return a view, in the innermost scope
     */
    public Tensor squeeze(int dimension) {
        return TensorOps.SQUEEZE.tensor(this, dimension);
    }

    /**
     * Returns a view that repeats dimensions of size 1, without a copy.
     *
     * @param sizes the new sizes; -1 keeps a size, and sizes beyond this tensor's rank come first
     * @return a view, in the innermost scope
     */
    public Tensor expand(long... sizes) {
        return TensorOps.EXPAND.tensor(this, sizes);
    }

    /**
     * Returns a view with an additional dimension of size 1.
     *
     * @param dimension the place of the new dimension in the result
     * @return a view, in the innermost scope
     */
    public Tensor unsqueeze(int dimension) {
        return TensorOps.UNSQUEEZE.tensor(this, dimension);
    }

    /**
     * Returns a view of this tensor's memory with arbitrary strides.
     *
     * @param sizes   the sizes of the view
     * @param strides the distance between neighbours along each dimension, in elements
     * @param offset  the place of the view's first element in the memory, in elements
     * @return a view, in the innermost scope
     * @throws TorchException if the view would reach beyond the memory
     */
    public Tensor asStrided(long[] sizes, long[] strides, long offset) {
        return TensorOps.AS_STRIDED.tensor(this, sizes, strides, offset);
    }

    /**
     * Joins tensors along an existing dimension, with a copy.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @param parts     the tensors, of equal sizes along all other dimensions
     * @return a new tensor, in the innermost scope
     */
    public static Tensor cat(int dimension, Tensor... parts) {
        return TensorOps.CAT.tensor(parts, dimension);
    }

    /**
     * Joins tensors along a new dimension, with a copy.
     *
     * @param dimension the place of the new dimension in the result
     * @param parts     the tensors, all of one shape
     * @return a new tensor, in the innermost scope
     */
    public static Tensor stack(int dimension, Tensor... parts) {
        return TensorOps.STACK.tensor(parts, dimension);
    }

    /**
     * Repeats this tensor along its first dimension, with a copy.
     *
     * @param times how many times, at least 1
     * @return a new tensor whose first dimension is {@code times} times as large, in the innermost scope
     * @throws IllegalArgumentException if {@code times} is less than 1
     */
    public Tensor repeatRows(int times) {
        if (times < 1) throw new IllegalArgumentException("rows should be repeated at least once, not " + times);
        Tensor[] parts = new Tensor[times];
        Arrays.fill(parts, this);
        return cat(0, parts);
    }

    /**
     * Copies this tensor.
     *
     * @return a tensor with its own memory, in the innermost scope
     */
    public Tensor copy() {
        return TensorOps.CLONE.tensor(this);
    }

    /**
     * Returns the elements row by row without gaps.
     *
     * @return a contiguous tensor, in the innermost scope; it shares this one's memory if that is contiguous
     */
    public Tensor contiguous() {
        return TensorOps.CONTIGUOUS.tensor(this);
    }

    /**
     * Begins to copy this tensor to the host without waiting for its device. The tensor may be freed before the copy is
     * done.
     *
     * @return the running copy; the caller closes it
     */
    public Transfer transferToHost() {
        return new Transfer(this);
    }

    /**
     * Converts the elements to another dtype.
     *
     * @param target the dtype
     * @return a tensor of that dtype, in the innermost scope; it shares this one's memory if that has the dtype
     */
    public Tensor to(DType target) {
        return TensorOps.TO_DTYPE.tensor(this, target);
    }

    /**
     * Copies this tensor to another device. A copy to the CPU waits for the device; a copy from the CPU to a device
     * does not, unless it reads page-locked memory.
     *
     * @param target the device
     * @return a tensor on that device, in the innermost scope; it shares this one's memory if that lies there already
     * @throws IllegalArgumentException if the device cannot be used
     */
    public Tensor to(Device target) {
        if (!target.isCpu()) target.requireUsable();
        Events.Copy event = target.equals(device()) ? null : Events.copy();
        // An unawaited copy out of page-locked memory would read it later, when its owner may have written to it.
        // Other host memory is read before the call returns.
        boolean waits = target.isCpu()
                || !device().isCpu()
                || (Boolean) TensorOps.IS_PINNED.call(this)[0];
        Tensor moved = TensorOps.TO_DEVICE.tensor(this, target, dtype(), !waits);
        if (event != null) event.finish(device(), target, shape().elements() * dtype().bytes());
        return moved;
    }

    /**
     * Allocates a tensor of zeros of this tensor's shape, dtype and device.
     *
     * @return a new tensor, in the innermost scope
     */
    public Tensor zerosLike() {
        return TensorOps.ZEROS_LIKE.tensor(this);
    }

    /**
     * Compares shapes and elements with those of another tensor.
     *
     * @param other the other tensor
     * @return true if both have one shape and equal elements
     */
    public boolean sameElements(Tensor other) {
        return (Boolean) TensorOps.EQUAL.call(this, Objects.requireNonNull(other))[0];
    }

    /**
     * Returns whether all elements are close to those of another tensor: {@code |this - other| <= atol + rtol *
     * |other|}. NaN is close to nothing.
     *
     * @param other the expected elements, of one dtype with this tensor; both are broadcast
     * @param rtol  the relative tolerance; PyTorch's default is 1e-5
     * @param atol  the absolute tolerance; PyTorch's default is 1e-8
     * @return true if all elements are close
     * @throws TorchException if the dtypes differ
     */
    public boolean allclose(Tensor other, double rtol, double atol) {
        return (Boolean) TensorOps.ALLCLOSE.call(this, Objects.requireNonNull(other), rtol, atol)[0];
    }

    /** Returns dtype and shape for messages, or a substitute where they cannot be read. */
    String brief() {
        if (freed || !scope.isOpen()) return "Tensor(closed)";
        if (shape == null && !scope.isUsable()) return "Tensor(of another thread)";
        try {
            return dtype() + "" + shape();
        } catch (RuntimeException e) { // of a complex dtype, say; it must not hide the error to report
            return "Tensor(of another kind)";
        }
    }

    /**
     * Describes this tensor in one line, for messages and logs. Never reads elements, waits or throws.
     *
     * @return dtype, shape and device, such as {@code Tensor(float32, [2, 3], cpu)}; a substitute where they cannot be
     *     read
     */
    public String describe() {
        String brief = brief();
        return shape == null || freed || !scope.isOpen()
                ? brief
                : "Tensor(" + dtype + ", " + shape + ", " + device + ")";
    }

    /**
     * Prints the elements as PyTorch prints them with its default options: four digits, or an exponent where the
     * magnitudes ask for one; of more than 1000 elements the first and last three along each dimension. Shape, dtype
     * and device follow, which PyTorch leaves out where they are its defaults. Reads only the printed elements; waits
     * for the device if they lie on one.
     *
     * @return the elements, such as {@code tensor([1.0000, 2.5000], shape=[2], dtype=float32, device=cpu)};
     *     {@link #describe} where they cannot be read: from a wrong thread, of a closed scope, of a sparse tensor
     */
    @Override
    public String toString() {
        if (freed || !scope.isUsable()) return describe();
        try {
            return TensorText.of(this);
        } catch (RuntimeException e) {
            return describe();
        }
    }
}
