package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.Arrays;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Rows of token ids of one length, made from documents as TransformerLens's {@code tokenize_and_concatenate} makes
 * them. Holds the ids on the Java heap, four bytes each. The same rows come out whatever the number of threads. What
 * reads documents throws {@link RunInterruptedException} if the thread is interrupted meanwhile.
 */
public final class TokenDataset {
    private static final String TOKENIZING = "tokenizing documents";
    /** Far beyond any model's context; a few rows of it fit into memory. */
    private static final int MAX_LENGTH = 1 << 24;

    private final int rowLength;
    private int[] tokens = new int[1 << 12];
    private int size;
    private long rowsInAll;
    private long documents;

    private TokenDataset(int rowLength) {
        if (rowLength < 2)
            throw new IllegalArgumentException(
                    "rows should be at least 2 tokens long, for one to predict the next: " + rowLength);
        requireFits(rowLength);
        this.rowLength = rowLength;
    }

    static void requireFits(int rowLength) {
        if (rowLength > MAX_LENGTH)
            throw new IllegalArgumentException(
                    "rows should be at most " + MAX_LENGTH + " tokens long, to fit into memory: " + rowLength);
    }

    /** Something that hands over documents in order, such as {@code Dataset::forEach}. */
    @FunctionalInterface
    public interface Documents {
        /** Calls the consumer with each document. */
        void forEach(Consumer<String> consumer);
    }

    /**
     * Tokenizes, joins and cuts into rows of {@code maxLength} ids, the first of which is {@code <|endoftext|>}. Reads
     * all documents, a thousand at a time.
     *
     * @throws InputException if no row comes out
     */
    public static TokenDataset tokenizeAndConcatenate(
            Documents documents, Tokenizer tokenizer, ChunkingStrategy tokenization, int maxLength) {
        return tokenizeAndConcatenate(documents, tokenizer, tokenization, maxLength, true, Long.MAX_VALUE);
    }

    /**
     * The same, keeping the first rows and counting the others: for a corpus that is larger than memory.
     *
     * @param addBosToken whether rows begin with {@code <|endoftext|>}; an SAE's {@code prepend_bos}
     * @param keep        how many rows to keep
     */
    public static TokenDataset tokenizeAndConcatenate(
            Documents documents,
            Tokenizer tokenizer,
            ChunkingStrategy tokenization,
            int maxLength,
            boolean addBosToken,
            long keep) {
        TokenDataset dataset = new TokenDataset(maxLength);
        dataset.documents =
                forEachRow(documents, tokenizer, tokenization, maxLength, addBosToken, row -> dataset.add(row, keep));
        if (dataset.rowsInAll == 0)
            throw new InputException(
                    "the dataset is empty: its " + dataset.documents + " documents hold nothing but white space.");
        return dataset;
    }

    /**
     * Hands over the rows one after the other and keeps none.
     *
     * @param maxLength   tokens in a row, at least 2 with {@code addBosToken}, else 1
     * @param addBosToken whether rows begin with {@code <|endoftext|>}
     * @param rows        gets an array that is its own
     * @return how many documents were read
     */
    public static long forEachRow(
            Documents documents,
            Tokenizer tokenizer,
            ChunkingStrategy tokenization,
            int maxLength,
            boolean addBosToken,
            Consumer<int[]> rows) {
        return new TokenizeAndConcatenate(tokenizer, tokenization, maxLength, addBosToken, rows)
                .all(consumer -> each(documents::forEach, consumer));
    }

    /** Goes through documents, looking before each whether the thread was interrupted. */
    private static <T> void each(Consumer<Consumer<T>> documents, Consumer<T> consumer) {
        try {
            documents.accept(document -> {
                RunInterruptedException.check(TOKENIZING);
                consumer.accept(Objects.requireNonNull(document, "a document is null: leave it out"));
            });
        } catch (InputException e) {
            RunInterruptedException.check(TOKENIZING, e); // which closes a file that is being read
            throw e;
        }
    }

    /**
     * The first rows that SAELens's ActivationsStore makes of documents, reading no more of them than that needs:
     * documents one after the other with {@code <|endoftext|>} between them, cut where a row is full and going on in
     * the next one, so that no token is lost.
     *
     * @param prependBos whether rows begin with {@code <|endoftext|>}; none is put before one that is there
     * @param rows       how many rows to make at most, at least 1
     * @throws InputException if the documents do not fill one row
     */
    public static TokenDataset concatAndBatchSequences(
            Documents documents, Tokenizer tokenizer, int contextSize, boolean prependBos, int rows) {
        if (rows < 1) throw new IllegalArgumentException("rows should be at least 1, not " + rows);
        TokenDataset dataset = new TokenDataset(contextSize);
        SequencePacker batches =
                new SequencePacker(tokenizer.endOfText(), contextSize, prependBos, row -> dataset.add(row, rows));
        try {
            TokenDataset.<String>each(documents::forEach, document -> {
                dataset.documents++;
                batches.add(tokenizer.encode(document));
                if (dataset.rows() >= rows) throw new Enough();
            });
        } catch (Enough e) {
            // the rest of the documents is not needed
        }
        if (dataset.rows() == 0)
            throw new InputException("the dataset is too short: its " + dataset.documents
                    + " documents do not fill one row of " + contextSize + " tokens.");
        return dataset;
    }

    /** Ends the reading of documents. */
    private static final class Enough extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Enough() {
            super(null, null, false, false);
        }
    }

    /**
     * Rows of documents that are token ids already, each one row: cut to {@code rowLength}, as SAELens's
     * ActivationsStore does.
     *
     * @param documents such as {@code Dataset::forEachTokens}
     * @param vocabulary the number of tokens that the model knows
     * @param keep       how many rows to keep
     * @throws InputException if a row is too short or holds an id that the model does not know
     */
    public static TokenDataset ofTokens(Consumer<Consumer<int[]>> documents, int vocabulary, int rowLength, long keep) {
        TokenDataset dataset = new TokenDataset(rowLength);
        each(documents, ids -> {
            long number = ++dataset.documents;
            if (ids.length < rowLength)
                throw new InputException("row " + number + " of the tokenized dataset has " + ids.length
                        + " tokens, and " + rowLength + " are needed: its context is too short for this SAE.");
            for (int id : ids)
                if (id < 0 || id >= vocabulary)
                    throw new InputException("row " + number + " of the tokenized dataset holds the token id " + id
                            + ", and the model knows 0 to " + (vocabulary - 1) + ": it is of another tokenizer.");
            dataset.add(Arrays.copyOf(ids, rowLength), keep);
        });
        return dataset;
    }

    private void add(int[] row, long keep) {
        if (rowsInAll++ >= keep) return;
        int needed = Math.addExact(size, rowLength);
        if (needed > tokens.length)
            tokens = Arrays.copyOf(tokens, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(needed, tokens.length * 2L)));
        System.arraycopy(row, 0, tokens, size, rowLength);
        size = needed;
    }

    /** How many rows there are, kept or not. */
    public long rowsInAll() {
        return rowsInAll;
    }

    /** The number of rows that are kept. */
    public int rows() {
        return size / rowLength;
    }

    /** Tokens in a row, the first one included. */
    public int rowLength() {
        return rowLength;
    }

    /** How many documents were read. */
    public long documents() {
        return documents;
    }

    /**
     * A copy of one row.
     *
     * @throws IndexOutOfBoundsException if there is no such row
     */
    public int[] row(int index) {
        if (index < 0 || index >= rows())
            throw new IndexOutOfBoundsException("row " + index + " is none of the " + rows() + " rows, from 0");
        return Arrays.copyOfRange(tokens, index * rowLength, (index + 1) * rowLength);
    }

    /**
     * Rows from start (inclusive) to end (exclusive) as an int64 CPU tensor [end - start, rowLength].
     *
     * @throws IndexOutOfBoundsException if there are no such rows
     */
    public Tensor batch(int start, int end) {
        if (start < 0 || end < start || end > rows())
            throw new IndexOutOfBoundsException(
                    "a batch from row " + start + " to row " + end + " is not within the " + rows() + " rows, from 0");
        long[] ids = new long[(end - start) * rowLength];
        for (int i = 0; i < ids.length; i++) ids[i] = tokens[start * rowLength + i];
        return Tensor.of(ids, Shape.of(end - start, rowLength));
    }

    /** Its size, for people. */
    @Override
    public String toString() {
        return "TokenDataset of " + rows() + " rows of " + rowLength + " tokens"
                + (rowsInAll > rows() ? ", of " + rowsInAll + " in all" : "") + ", from " + documents + " documents";
    }
}
