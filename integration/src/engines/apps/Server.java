import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;

/** A server that uses what servers in Java use: threads, child processes, files, a hook for the end. */
public class Server {
    public static void main(String[] args) throws Exception {
        var server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/", exchange -> {
            var threads = IntStream.range(0, 10).parallel().map(n -> n * n).sum();
            var child = new ProcessBuilder("id", "-u").start();
            var user = new String(child.getInputStream().readAllBytes()).trim();
            var file = Files.createTempFile("java", null);
            Files.writeString(file, "42");
            var body = "threads " + threads + " children " + user + " files " + Files.readString(file) + "\n";
            Files.delete(file);
            exchange.sendResponseHeaders(200, body.length());
            try (var out = exchange.getResponseBody()) {
                out.write(body.getBytes());
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("stopped")));
        server.start();
        System.out.println("started " + System.getProperty("java.version"));
    }
}
