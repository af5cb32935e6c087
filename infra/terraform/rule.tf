locals {
  # Where the worker folds the children of Map runs, they stay out of the queue: a Map run of 10,000 failing
  # children would fill it with what is thrown away. Their state machine is called NAME/LABEL, so that exact
  # ARNs leave them out too. Where the worker is notified of them, it narrows by MISSTEP_STEP_FUNCTION_ARNS.
  folds   = var.map_run_children == "fold"
  of_some = length(var.step_function_arns) > 0

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = merge(
      { status = ["FAILED", "TIMED_OUT", "ABORTED"] },
      local.folds && local.of_some ? { stateMachineArn = var.step_function_arns } : {},
      local.folds && !local.of_some ? { stateMachineArn = [{ anything-but = { wildcard = "*:stateMachine:*/*" } }] } : {},
    )
  })
}

resource "aws_cloudwatch_event_rule" "failures" {
  name          = var.event_rule_name
  description   = "Step Functions executions that failed, timed out or were aborted"
  event_pattern = local.event_pattern
  tags          = local.tags
}

resource "aws_cloudwatch_event_target" "queue" {
  rule      = aws_cloudwatch_event_rule.failures.name
  target_id = "queue"
  arn       = aws_sqs_queue.queue.arn

  dead_letter_config {
    arn = aws_sqs_queue.target_dead_letter.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  # A rule that delivers before it may fills its dead-letter queue at once.
  depends_on = [aws_sqs_queue_policy.queue, aws_sqs_queue_policy.target_dead_letter]
}
