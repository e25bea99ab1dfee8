<?php
// For `php -S`: what PHP reads under `doc_id`, in the query and in the form.
header('Content-Type: application/json');
echo json_encode([$_GET['doc_id'] ?? null, $_POST['doc_id'] ?? null], JSON_INVALID_UTF8_SUBSTITUTE);
