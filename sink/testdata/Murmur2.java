// Prints keys and the hash by which the Java client of Kafka partitions them:
//   java -cp kafka-clients-4.3.1.jar:slf4j-api.jar Murmur2.java > murmur2.tsv
import org.apache.kafka.common.utils.Utils;
import java.nio.charset.StandardCharsets;
public class Murmur2 {
  public static void main(String[] a) {
    java.util.Random r = new java.util.Random(7);
    String alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    java.util.List<String> keys = new java.util.ArrayList<>(java.util.List.of("a", "ab", "abc", "abcd", "Späti 🙂", "001*", "000000000000000AAA", "/u/a/b#12"));
    for (int i = 0; i < 200; i++) { StringBuilder b = new StringBuilder("001"); for (int j = 0; j < 15; j++) b.append(alphabet.charAt(r.nextInt(62))); keys.add(b.toString()); }
    for (int i = 0; i < 40; i++) keys.add(new java.util.UUID(r.nextLong(), r.nextLong()).toString());
    for (String k : keys) System.out.println(k + "\t" + Utils.toPositive(Utils.murmur2(k.getBytes(StandardCharsets.UTF_8))));
  }
}
