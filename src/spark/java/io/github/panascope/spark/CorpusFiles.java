package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.function.Consumer;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.TaskCompletionListener;

/** Reads a corpus with a task for each file, by the reader of one machine: documents and their order are its own. */
final class CorpusFiles {
    private CorpusFiles() {}

    /** {@return the texts of the files of a place, see {@link Documents#read}} */
    static JavaRDD<String> texts(SparkSession spark, String place, String split, String column) {
        List<String> uris = uris(place, split);
        return JavaSparkContext.fromSparkContext(spark.sparkContext())
                .parallelize(uris, uris.size())
                .flatMap(uri -> new Texts(uri, column));
    }

    /**
     * Returns the files of a place with all their columns, as Spark reads them, in no order.
     *
     * @throws InputException if there are no such files, or they are not all Parquet or all JSON Lines
     */
    static Dataset<Row> table(SparkSession spark, String place, String split) {
        List<String> uris = uris(place, split);
        boolean parquet = uris.stream().allMatch(uri -> uri.endsWith(".parquet"));
        if (!parquet && !uris.stream().allMatch(uri -> uri.matches(".*\\.(jsonl|ndjson|json)(\\.(gz|zst))?")))
            throw new InputException("the files of " + place + " should be all Parquet or all JSON Lines, for columns"
                    + " beside the text.");
        return spark.read().format(parquet ? "parquet" : "json").load(uris.toArray(String[]::new));
    }

    /** {@return the files of a place in the order in which one machine reads them} */
    private static List<String> uris(String place, String split) {
        HadoopFiles files = HadoopFiles.at(place);
        if (files.isFolder())
            return TextDataset.filesIn("folder " + place, files.names(TextDataset.DEPTH), split).stream()
                    .map(name -> files + "/" + name)
                    .toList();
        if (files.size("") < 0) throw missing(place, files);
        return List.of(files.toString());
    }

    private static InputException missing(String place, HadoopFiles files) {
        boolean hubId = place.matches("[\\w.-]+/[\\w.@-]+");
        return new InputException("dataset " + place + " does not exist: there is no " + files + "."
                + (hubId
                        ? " A dataset of the hub is not fetched here: put its files into a folder that all machines"
                                + " see."
                        : ""));
    }

    /** {@return the texts of the demo bundle} */
    static JavaRDD<String> demo(SparkSession spark) {
        return JavaSparkContext.fromSparkContext(spark.sparkContext())
                .parallelize(List.of(0), 1)
                .flatMap(_ -> new Texts("file:" + DemoBundle.find().dataset(), null));
    }

    /**
     * The texts of a file, which a thread reads a few texts ahead of the task, as the reader passes them to a consumer
     * and Spark asks for them one by one. It ends with the task.
     */
    private static final class Texts implements Iterator<String> {
        private static final int AHEAD = 64;
        private static final Object END = new Object();

        private final String uri;
        private final BlockingQueue<Object> read = new ArrayBlockingQueue<>(AHEAD);
        private Object next;

        Texts(String uri, String column) {
            this.uri = uri;
            Thread reader =
                    Thread.ofPlatform().daemon().name("panascope-reader").start(() -> read(column));
            TaskContext.get().addTaskCompletionListener((TaskCompletionListener) _ -> reader.interrupt());
        }

        private void read(String column) {
            Object last = END;
            try {
                withLocal(file -> {
                    TextDataset dataset = TextDataset.of(file.toString());
                    if (column != null) dataset = dataset.column(column);
                    if (dataset.isTokenized())
                        throw new InputException(file + " holds token ids, and text is needed: name a column of text.");
                    dataset.forEachIfAny(this::put, _ -> {});
                });
            } catch (RuntimeException | Error e) {
                last = e;
            }
            try {
                put(last);
            } catch (RunInterruptedException e) {
                // the task has ended
            }
        }

        /** Passes the file in place if it is on a local disk, and else as a copy of its name. */
        private void withLocal(Consumer<Path> reader) {
            HadoopFiles place = HadoopFiles.at(uri);
            if (place.isLocal()) {
                reader.accept(place.local());
                return;
            }
            Path scratch = UnitTask.scratch("text");
            Path copy = scratch.resolve(uri.substring(uri.lastIndexOf('/') + 1));
            try {
                place.fetch("", copy);
                reader.accept(copy);
            } catch (InputException e) {
                throw new InputException(e.getMessage().replace(copy.toString(), uri), e);
            } finally {
                UnitTask.delete(scratch);
            }
        }

        private void put(Object each) {
            try {
                read.put(each);
            } catch (InterruptedException e) {
                throw RunInterruptedException.of("reading " + uri, e);
            }
        }

        @Override
        public boolean hasNext() {
            try {
                if (next == null) next = read.take();
            } catch (InterruptedException e) {
                throw RunInterruptedException.of("reading " + uri, e);
            }
            if (next instanceof RuntimeException failure) throw failure;
            if (next instanceof Error failure) throw failure;
            return next != END;
        }

        @Override
        public String next() {
            if (!hasNext()) throw new NoSuchElementException();
            String text = (String) next;
            next = null;
            return text;
        }
    }
}
