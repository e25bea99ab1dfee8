# Reads {"query"} or {"body", "type"} per line; writes what Rack finds under `doc_id`, or {"refused":true}.
require "json"
require "rack"
require "stringio"

STDOUT.sync = true
STDERR.puts Rack.release
STDIN.each_line do |line|
  request = JSON.parse(line)
  begin
    if request["query"]
      found = Rack::Utils.parse_nested_query(request["query"])["doc_id"]
    else
      body = request["body"]
      env = { "REQUEST_METHOD" => "POST", "CONTENT_TYPE" => request["type"], "CONTENT_LENGTH" => body.bytesize.to_s,
              "rack.input" => StringIO.new(body.b), "QUERY_STRING" => "" }
      found = Rack::Request.new(env).POST["doc_id"]
    end
    found = found.dup.force_encoding("UTF-8").scrub("\uFFFD") if found.is_a?(String)
    puts JSON.generate(found)
  rescue StandardError
    puts JSON.generate({ "refused" => true })
  end
end
