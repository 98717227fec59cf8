package io.github.panascope.spark;

import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;

/** Features of a corpus that a {@link FeatureJob} collected into a folder. */
public final class CollectedFeatures {
    private final JavaSparkContext spark;
    private final ModelAndSae names;
    private final String text;
    private final HadoopFiles files;
    private final JobPlan plan;
    private final List<UnitFiles> units;
    private final int context;
    private final int @Nullable [] chosen;
    private final boolean chosenOnly;
    private final Map<String, Share> shares;

    /**
     * What an executor did in the job.
     *
     * @param tokens  the number of tokens
     * @param seconds the time of its tasks together
     */
    public record Share(long tokens, double seconds) implements Serializable {
        Share plus(Share other) {
            return new Share(tokens + other.tokens, seconds + other.seconds);
        }
    }

    CollectedFeatures(
            JavaSparkContext spark,
            ModelAndSae names,
            String text,
            HadoopFiles files,
            JobPlan plan,
            List<UnitFiles> units,
            int context,
            int @Nullable [] chosen,
            boolean chosenOnly,
            Map<String, Share> shares) {
        this.spark = spark;
        this.names = names;
        this.text = text;
        this.files = files;
        this.plan = plan;
        this.units = units;
        this.context = context;
        this.chosen = chosen;
        this.chosenOnly = chosenOnly;
        this.shares = shares;
    }

    /** {@return the URI of the folder} */
    public String folder() {
        return files.toString();
    }

    /** {@return the number of rows} */
    public long rows() {
        return plan.rows();
    }

    /** {@return the number of tokens in a row} */
    public int context() {
        return context;
    }

    /** {@return the description of the text} */
    public String text() {
        return text;
    }

    /** {@return what each executor did in the job, by its id and host; empty if no row was missing} */
    public Map<String, Share> shares() {
        return shares;
    }

    /** {@return the features of which dashboards can be made, ascending} */
    public int[] features() {
        return chosen != null
                ? chosen.clone()
                : IntStream.range(0, Executor.onDriver(names).shown().config().dSae())
                        .toArray();
    }

    JavaSparkContext spark() {
        return spark;
    }

    ModelAndSae names() {
        return names;
    }

    HadoopFiles files() {
        return files;
    }

    List<UnitFiles> units() {
        return units;
    }

    boolean chosenOnly() {
        return chosenOnly;
    }
}
