import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import tools.jackson.databind.json.JsonMapper;

/**
 * An HTTP service that answers a text with the strongest features at each of its tokens, as JSON. Requests wait on
 * virtual threads, in a queue of limited length; one thread for each processor runs the model on up to eight texts
 * at a time. For example: curl --data-binary "John and Mary" http://127.0.0.1:8080/features
 *
 * <p>The arguments are PORT MODEL SAE; without them, the demo bundle is used.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/FeatureService.java 8080 gpt2-small \
 *     gpt2-small-res-jb/blocks.8.hook_resid_pre
 * }</pre>
 */
public class FeatureService implements AutoCloseable {
    private static final int BODY_BYTES = 8 * 1024; // a longer text gets 413
    private static final int TOKENS = 128; // and so does one of more tokens
    private static final int WAITING = 256; // with so many in the queue, a request gets 503
    private static final int SECONDS = 10; // and so does one that waited so long
    private static final int TOGETHER = 8; // texts in a run: their features take 4 * 8 * 128 * d_sae bytes
    private static final int WORKERS = Runtime.getRuntime().availableProcessors();
    private static final int STRONGEST = 10;

    /** A token, and the strongest of its active features, in descending order of their activations. */
    record Token(String token, int[] features, float[] activations) {}

    private record Answer(int status, Object body) {}

    private record Request(int[] tokens, CompletableFuture<List<Token>> result) {}

    private final HookedTransformer model;
    private final Sae sae;
    private final HttpServer server;
    private final BlockingQueue<Request> waiting = new ArrayBlockingQueue<>(WAITING);
    private final ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
    private final JsonMapper json = new JsonMapper();

    FeatureService(HookedTransformer model, Sae sae, int port) throws IOException {
        this.model = model;
        this.sae = sae;
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), WAITING);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/features", this::handle);
        run(List.of(new Request(model.tokenizer().encode("warm up"), new CompletableFuture<>())));
        for (int i = 0; i < WORKERS; i++) workers.submit(this::work);
        server.start();
    }

    int port() {
        return server.getAddress().getPort();
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            Answer answer = answer(exchange);
            byte[] body = json.writeValueAsBytes(answer.body());
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(answer.status(), body.length);
            exchange.getResponseBody().write(body);
        }
    }

    private Answer answer(HttpExchange exchange) throws IOException {
        if (!exchange.getRequestMethod().equals("POST")) return new Answer(405, "a text is needed, with POST");
        byte[] body = exchange.getRequestBody().readNBytes(BODY_BYTES + 1);
        if (body.length > BODY_BYTES) return new Answer(413, "the text has more than " + BODY_BYTES + " bytes");
        int[] tokens = model.tokenizer().encodeAfterBos(new String(body, StandardCharsets.UTF_8));
        if (tokens.length > TOKENS) return new Answer(413, "the text has more than " + (TOKENS - 1) + " tokens");
        var result = new CompletableFuture<List<Token>>().orTimeout(SECONDS, TimeUnit.SECONDS);
        if (!waiting.offer(new Request(tokens, result))) return new Answer(503, "too many requests are waiting");
        try {
            return new Answer(200, result.join());
        } catch (CompletionException e) {
            if (e.getCause() instanceof TimeoutException) return new Answer(503, "there are too many requests");
            return new Answer(500, "the model failed: " + e.getCause().getMessage());
        }
    }

    private Void work() throws InterruptedException {
        while (true) {
            List<Request> batch = new ArrayList<>(List.of(waiting.take()));
            waiting.drainTo(batch, TOGETHER - 1);
            batch.removeIf(each -> each.result().isDone()); // it waited too long
            if (!batch.isEmpty()) run(batch);
        }
    }

    /** Runs texts as the rows of a batch. No position depends on a later one, so shorter rows may end in any token. */
    private void run(List<Request> batch) {
        int longest =
                batch.stream().mapToInt(each -> each.tokens().length).max().orElseThrow();
        long[] ids = batch.stream()
                .flatMapToInt(each -> Arrays.stream(Arrays.copyOf(each.tokens(), longest)))
                .asLongStream()
                .toArray();
        try (var _ = TensorScope.open()) {
            Tensor tokens = Tensor.of(ids, Shape.of(batch.size(), longest));
            Tensor features =
                    sae.encode(model.forward(tokens).activation(sae.config().hookName()));
            var strongest = features.topk(STRONGEST); // [text, pos, 10]
            for (int i = 0; i < batch.size(); i++) {
                int[] indices = strongest.indices().select(0, i).toInts();
                float[] values = strongest.values().select(0, i).toFloats();
                batch.get(i).result().complete(tokens(batch.get(i).tokens(), indices, values));
            }
        } catch (RuntimeException | Error e) { // an Error too: the worker goes on
            batch.forEach(each -> each.result().completeExceptionally(e));
        }
    }

    private List<Token> tokens(int[] tokens, int[] indices, float[] values) {
        List<String> words = model.tokenizer().tokens(tokens);
        List<Token> result = new ArrayList<>();
        for (int position = 0; position < tokens.length; position++) {
            int from = position * STRONGEST;
            int end = from;
            while (end < from + STRONGEST && values[end] > 0) end++;
            result.add(new Token(
                    words.get(position),
                    Arrays.copyOfRange(indices, from, end),
                    Arrays.copyOfRange(values, from, end)));
        }
        return result;
    }

    /** Takes no new requests, answers those that are there, and ends the workers. */
    @Override
    public void close() {
        server.stop(SECONDS);
        workers.shutdownNow();
        workers.close();
    }

    public static void main(String[] args) throws Exception {
        Torch.setThreads(1); // each worker computes on its own thread
        var model = HookedTransformer.fromPretrained(
                args.length > 1 ? args[1] : DemoBundle.find().model());
        var sae =
                Sae.fromPretrained(args.length > 2 ? args[2] : DemoBundle.find().sae());
        var service = new FeatureService(model, sae, args.length > 0 ? Integer.parseInt(args[0]) : 8080);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            service.close();
            sae.close();
            model.close();
            System.out.println("stopped, with " + Torch.liveHandles() + " native handles open");
        }));
        System.out.println("http://127.0.0.1:" + service.port() + "/features");
    }
}
