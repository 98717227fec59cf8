package io.github.panascope.weights;

import io.github.panascope.InputException;
import java.math.BigInteger;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * A reader of Python's pickle format, as far as files of tensors need it. The opcodes are those of pickletools
 * (protocols 2 to 5). Nothing is imported and nothing is called: the name of a Python function becomes a
 * {@link Global}, which is not looked up. The caller's callback accepts a few names and refuses all others.
 *
 * <p>The values are null, Boolean, Long, BigInteger, Double, String, {@code byte[]}, List (for lists and tuples), Map
 * (for dictionaries) and the objects that the callbacks return. Memory is bounded by the length of the input, as each
 * opcode makes at most one object.
 */
final class Pickle {
    /**
     * The name of a Python class or function.
     *
     * @param module name of the module
     * @param name   name in the module
     */
    record Global(String module, String name) {
        @Override
        public String toString() {
            return module + "." + name;
        }
    }

    private static final Object MARK = new Object();

    private final String place;
    private final ByteBuffer in;
    private final Function<Object, Object> persistent;
    private final BiFunction<Global, List<?>, Object> reduce;
    private final ArrayList<Object> stack = new ArrayList<>();
    private long copied;
    private final Map<Long, Object> memo = new HashMap<>();

    /**
     * Creates a reader.
     *
     * @param place      name of the file for error messages
     * @param in         the input, positioned at the first byte of the pickle; {@link #load} leaves it after the last
     *     one
     * @param persistent returns the object of a persistent id
     * @param reduce     returns the result of applying a name to arguments
     */
    Pickle(
            String place,
            ByteBuffer in,
            Function<Object, Object> persistent,
            BiFunction<Global, List<?>, Object> reduce) {
        this.place = place;
        this.in = in.order(ByteOrder.LITTLE_ENDIAN);
        this.persistent = persistent;
        this.reduce = reduce;
    }

    /**
     * Reads one pickle.
     *
     * @return its value
     * @throws InputException if the pickle is damaged, or uses an opcode that files of tensors do not need
     */
    Object load() {
        try {
            while (true) {
                int opcode = in.get() & 0xff;
                if (opcode == '.') return pop();
                step(opcode);
            }
        } catch (InputException e) {
            throw e;
        } catch (BufferUnderflowException e) {
            throw new InputException(place + " is truncated: its pickle has no end.", e);
        } catch (RuntimeException e) { // the stack is empty, or holds a value that the opcode does not take
            throw new InputException(
                    place + " is damaged: its pickle makes no sense at byte " + in.position() + ".", e);
        }
    }

    /** Executes an opcode that pushes or pops values; passes all others on. */
    private void step(int opcode) {
        switch (opcode) {
            case 0x80 -> in.get(); // PROTO
            case 0x95 -> in.getLong(); // FRAME
            case 'N' -> stack.add(null);
            case 0x88 -> stack.add(true);
            case 0x89 -> stack.add(false);
            case 'J' -> stack.add((long) in.getInt());
            case 'K' -> stack.add((long) (in.get() & 0xff));
            case 'M' -> stack.add((long) (in.getShort() & 0xffff));
            case 0x8a -> stack.add(integer(in.get() & 0xff));
            case 0x8b -> stack.add(integer(in.getInt()));
            case 'G' -> stack.add(Double.longBitsToDouble(Long.reverseBytes(in.getLong())));
            case 'X' -> stack.add(text(in.getInt() & 0xffffffffL));
            case 0x8c -> stack.add(text(in.get() & 0xff));
            case 0x8d -> stack.add(text(in.getLong()));
            case 'U' -> stack.add(text(in.get() & 0xff)); // byte strings of Python 2, which hold names
            case 'T' -> stack.add(text(in.getInt() & 0xffffffffL));
            case 'B' -> stack.add(bytes(in.getInt() & 0xffffffffL));
            case 'C' -> stack.add(bytes(in.get() & 0xff));
            case ')' -> stack.add(List.of());
            case ']' -> stack.add(new ArrayList<>());
            case '}' -> stack.add(new LinkedHashMap<>());
            case '(' -> stack.add(MARK);
            case '0' -> pop();
            case 't' -> stack.add(Collections.unmodifiableList(toMark()));
            case 0x85 -> stack.add(last(1));
            case 0x86 -> stack.add(last(2));
            case 0x87 -> stack.add(last(3));
            case 'l' -> stack.add(toMark());
            default -> change(opcode);
        }
    }

    /** Executes an opcode that adds values to a collection on the stack; passes all others on. */
    private void change(int opcode) {
        switch (opcode) {
            case 'a' -> {
                Object item = pop();
                list(top()).add(item);
            }
            case 'e' -> {
                List<Object> items = toMark();
                list(top()).addAll(items);
            }
            case 's' -> {
                Object value = pop();
                Object key = pop();
                put(top(), key, value);
            }
            case 'u' -> {
                List<Object> items = toMark();
                if (items.size() % 2 != 0) throw new IllegalArgumentException();
                for (int i = 0; i < items.size(); i += 2) put(top(), items.get(i), items.get(i + 1));
            }
            case 'd' -> {
                List<Object> items = toMark();
                Map<Object, Object> map = new LinkedHashMap<>();
                if (items.size() % 2 != 0) throw new IllegalArgumentException();
                for (int i = 0; i < items.size(); i += 2) put(map, items.get(i), items.get(i + 1));
                stack.add(map);
            }
            default -> refer(opcode);
        }
    }

    /** Executes an opcode for remembered values, names, or objects made from names; refuses all others. */
    private void refer(int opcode) {
        switch (opcode) {
            case 'q' -> memo.put((long) (in.get() & 0xff), top());
            case 'r' -> memo.put(in.getInt() & 0xffffffffL, top());
            case 0x94 -> memo.put((long) memo.size(), top());
            case 'h' -> recall(in.get() & 0xff);
            case 'j' -> recall(in.getInt() & 0xffffffffL);
            case 'c' -> stack.add(new Global(line(), line()));
            case 0x93 -> {
                String name = (String) pop();
                stack.add(new Global((String) pop(), name));
            }
            case 'Q' -> stack.add(persistent.apply(pop()));
            case 'R', 0x81 -> { // REDUCE, NEWOBJ
                List<?> arguments = (List<?>) pop();
                stack.add(reduce.apply((Global) pop(), arguments));
            }
            case 'b' -> {
                // BUILD: a plain object takes its attributes; the state of a dictionary (its _metadata) is not needed
                Object state = pop();
                if (top() instanceof PlainObject object) object.attributes.putAll(spent(attributes(state)));
                else if (!(top() instanceof Map))
                    throw new InputException(
                            place + " sets the state of something that is not a plain object; refused.");
            }
            default ->
                throw new InputException(place + " uses the pickle opcode 0x" + Integer.toHexString(opcode) + " (byte "
                        + (in.position() - 1) + "), which files of tensors have no need of; refused.");
        }
    }

    /** An object of a class that is not interpreted, with its attributes. */
    static final class PlainObject {
        final Map<Object, Object> attributes = new LinkedHashMap<>();
    }

    /**
     * Counts the entries of a state that is copied into an object, since one dictionary can be the state of many
     * objects; refuses more entries than the file has bytes.
     */
    private Map<Object, Object> spent(Map<Object, Object> state) {
        copied += state.size();
        if (copied > in.capacity())
            throw new InputException(place + " is damaged: its objects would be larger than the file.");
        return state;
    }

    @SuppressWarnings("unchecked")
    private static Map<Object, Object> attributes(Object state) {
        return (Map<Object, Object>) state;
    }

    private Object integer(int length) {
        byte[] little = bytes(length);
        if (length == 0) return 0L;
        byte[] big = new byte[length];
        for (int i = 0; i < length; i++) big[i] = little[length - 1 - i];
        BigInteger value = new BigInteger(big);
        return value.bitLength() < 64 ? (Object) value.longValue() : value;
    }

    private byte[] bytes(long length) {
        if (length < 0 || length > in.remaining()) throw new BufferUnderflowException();
        byte[] bytes = new byte[(int) length];
        in.get(bytes);
        return bytes;
    }

    private String text(long length) {
        return new String(bytes(length), StandardCharsets.UTF_8);
    }

    private String line() {
        int start = in.position();
        while (in.get() != '\n') { // to the end of the line
        }
        byte[] bytes = new byte[in.position() - 1 - start];
        in.get(start, bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private Object top() {
        Object top = stack.getLast();
        if (top == MARK) throw new IllegalArgumentException();
        return top;
    }

    private Object pop() {
        if (stack.isEmpty()) throw new IllegalArgumentException();
        return stack.removeLast();
    }

    private List<Object> last(int count) {
        List<Object> part = stack.subList(stack.size() - count, stack.size());
        List<Object> items = Collections.unmodifiableList(new ArrayList<>(part));
        part.clear();
        return items;
    }

    private List<Object> toMark() {
        int mark = stack.lastIndexOf(MARK);
        if (mark < 0) throw new IllegalArgumentException();
        List<Object> part = stack.subList(mark, stack.size());
        List<Object> items = new ArrayList<>(part.subList(1, part.size()));
        part.clear();
        return items;
    }

    private void recall(long index) {
        if (!memo.containsKey(index)) throw new IllegalArgumentException();
        stack.add(memo.get(index));
    }

    @SuppressWarnings("unchecked")
    private static List<Object> list(Object target) {
        return (List<Object>) target;
    }

    @SuppressWarnings("unchecked")
    private static void put(Object target, Object key, Object value) {
        // A collection as key would be hashed, which does not end for one that contains itself.
        if (!(key instanceof String || key instanceof Long || key instanceof Boolean))
            throw new IllegalArgumentException();
        ((Map<Object, Object>) target).put(key, value);
    }
}
