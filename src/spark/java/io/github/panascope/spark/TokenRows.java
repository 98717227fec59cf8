package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.tokens.Tokenizer;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Rows of token ids, made of documents as TransformerLens's {@code tokenize_and_concatenate} makes them, and numbered
 * as {@link TokenDataset#tokenizeAndConcatenate} numbers them on one machine, whatever the partitions of the documents
 * are. The algorithms work on a thousand documents at a time: these groups are spread over the executors, and a prefix
 * sum over their numbers of rows tells where the rows of a group begin. The ids are kept on the executors' disks until
 * {@link #close}.
 */
public final class TokenRows implements AutoCloseable {
    private final JavaRDD<Group> groups;
    private final int context;
    private final long documents;
    /** The number of the first row of each group, ascending; after the last group, the number of rows. */
    private final long[] first;
    /** The checksum of each group. */
    private final int[] checksums;

    private final String fingerprint;

    /** The token ids of the rows of a group, one row after the other. */
    private record Group(long number, int documents, int[] ids) implements Serializable {}

    /** What the driver learns of a group. */
    private record Size(long number, int documents, int rows, int checksum) implements Serializable {}

    private TokenRows(JavaRDD<Group> groups, int context, List<Size> sizes) {
        this.groups = groups;
        this.context = context;
        CRC32C checksum = new CRC32C();
        first = new long[sizes.size() + 1];
        checksums = sizes.stream().mapToInt(Size::checksum).toArray();
        long count = 0;
        for (int i = 0; i < sizes.size(); i++) {
            Size size = sizes.get(i);
            count += size.documents;
            first[i + 1] = first[i] + size.rows;
            checksum.update(ByteBuffer.allocate(8)
                    .putInt(size.rows)
                    .putInt(size.checksum)
                    .flip());
        }
        documents = count;
        fingerprint = HexFormat.of().toHexDigits((int) checksum.getValue());
    }

    /**
     * Makes rows of documents. The documents are tokenized when this method is called.
     *
     * @param documents the documents
     * @param names     the model, whose tokenizer is used
     * @param chunking  how documents are joined and cut
     * @param context   tokens in a row, at least 2
     * @param addBos    true to begin each row with the bos token
     * @return the rows; the caller closes them
     * @throws InputException if there is no row
     */
    public static TokenRows of(
            Documents documents, ModelAndSae names, ChunkingStrategy chunking, int context, boolean addBos) {
        JavaPairRDD<Long, String> numbered = Jobs.described(
                documents.table().sparkSession().sparkContext(), "Numbering documents", documents::numbered);
        int partitions = Math.max(
                numbered.getNumPartitions(),
                JavaSparkContext.fromSparkContext(numbered.context()).defaultParallelism());
        JavaRDD<Group> groups = numbered.mapToPair(
                        document -> new Tuple2<>(document._1 / TokenDataset.DOCUMENTS_IN_GROUP, document))
                .groupByKey(new HashPartitioner(partitions))
                .map(group -> group(group._1, group._2, names, chunking, context, addBos));
        return of(groups, context);
    }

    private static TokenRows of(JavaRDD<Group> groups, int context) {
        JavaRDD<Group> kept = groups.persist(StorageLevel.DISK_ONLY());
        List<Size> sizes = new ArrayList<>();
        try {
            sizes.addAll(Jobs.described(
                    kept.context(),
                    "Tokenizing documents",
                    () -> kept.map(group -> size(group, context)).collect()));
        } finally {
            if (sizes.isEmpty()) kept.unpersist(false);
        }
        sizes.sort(Comparator.comparingLong(Size::number));
        TokenRows rows = new TokenRows(kept, context, sizes);
        if (rows.rows() > 0) return rows;
        rows.close();
        throw new InputException(
                "the dataset is empty: its " + rows.documents + " documents hold nothing but white space.");
    }

    private static Group group(
            long number,
            Iterable<Tuple2<Long, String>> documents,
            ModelAndSae names,
            ChunkingStrategy chunking,
            int context,
            boolean addBos) {
        Map<Long, String> inOrder = new TreeMap<>();
        documents.forEach(document -> inOrder.put(document._1, document._2));
        Tokenizer tokenizer = Executor.load(names).model().tokenizer();
        List<int[]> rows =
                TokenDataset.rowsOfGroup(List.copyOf(inOrder.values()), tokenizer, chunking, context, addBos);
        int[] ids = new int[Math.multiplyExact(rows.size(), context)];
        for (int i = 0; i < rows.size(); i++) System.arraycopy(rows.get(i), 0, ids, i * context, context);
        return new Group(number, inOrder.size(), ids);
    }

    private static Size size(Group group, int context) {
        CRC32C checksum = new CRC32C();
        ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * context);
        for (int start = 0; start < group.ids.length; start += context) {
            bytes.clear().asIntBuffer().put(group.ids, start, context);
            checksum.update(bytes);
        }
        return new Size(group.number, group.documents, group.ids.length / context, (int) checksum.getValue());
    }

    /** {@return the number of rows} */
    public long rows() {
        return first[first.length - 1];
    }

    /** {@return the number of documents} */
    public long documents() {
        return documents;
    }

    /** {@return the number of tokens in a row} */
    public int context() {
        return context;
    }

    /** {@return a checksum of all token ids and of how they lie in groups, 8 hexadecimal digits} */
    public String fingerprint() {
        return fingerprint;
    }

    /**
     * Returns the rows. A task fails with an {@link InputException} if a group that was lost with its executor has
     * other tokens when it is tokenized again, because the documents have no order that Spark finds again.
     *
     * @return the token ids of each row by its number, from 0, in no order
     */
    public JavaPairRDD<Long, int[]> rdd() {
        long[] begins = first;
        int[] expected = checksums;
        int length = context;
        return groups.flatMapToPair(group -> {
            if (size(group, length).checksum != expected[(int) group.number])
                throw new InputException("documents " + group.number * TokenDataset.DOCUMENTS_IN_GROUP
                        + " and following have other text or another order than when they were first read:"
                        + " name a column that orders them, whose values differ, and leave the files as they"
                        + " are while the job runs.");
            return IntStream.range(0, group.ids.length / length)
                    .mapToObj(row -> new Tuple2<>(
                            begins[(int) group.number] + row,
                            Arrays.copyOfRange(group.ids, row * length, (row + 1) * length)))
                    .iterator();
        });
    }

    /** Deletes the ids on the executors' disks. */
    @Override
    public void close() {
        groups.unpersist(false);
    }
}
